# Sets the password of root and creates or repairs the index, through the REST API of devpi-server 6.
import base64, json, os, sys, urllib.error, urllib.request

server, index, password = (os.environ[name] for name in ("SERVER", "INDEX", "PASSWORD"))
wanted = {"type": "stage", "bases": ["root/pypi"], "volatile": False}


def call(method, path, body=None, token=None):
    headers = {"accept": "application/json", "content-type": "application/json"}
    if token:
        headers["x-devpi-auth"] = base64.b64encode(f"root:{token}".encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}


def token_for(password):
    status, answer = call("POST", "/+login", {"user": "root", "password": password})
    if status not in (200, 401):
        sys.exit(f"login: unexpected status {status}")
    return answer["result"]["password"] if status == 200 else None


def require(what, status):
    if status not in (200, 201):
        sys.exit(f"{what}: unexpected status {status}")
    print(f"{what}: done")


token = token_for(password)
if not token and (token := token_for("")):
    # The volume was created without the password in the server's environment.
    require("set the password of root", call("PATCH", "/root", {"password": password}, token)[0])
    token = token_for(password)
if not token:
    print("the password of root in DevPI differs from the Secret; run the operation reset-root-password")
    sys.exit(2)

status, answer = call("GET", f"/{index}?no_projects=")
found = answer.get("result", {})
if status == 404:
    require(f"create index {index}", call("PUT", f"/{index}", wanted, token)[0])
elif any(found.get(key) != value for key, value in wanted.items()):
    changes = ["bases=root/pypi", "volatile=False"]
    require(f"repair index {index}", call("PATCH", f"/{index}", changes, token)[0])
else:
    print(f"index {index} is correct")
