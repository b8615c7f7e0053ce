//! DevPI's dashboard behind its sign-on, as people, strangers and operators meet it.

use crate::release::Devpi;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use thinkube_e2e::browser::Browser;
use thinkube_e2e::web::{self, Answer};
use thinkube_e2e::{Run, devpi, eventually};
use thinkube_test_cluster::{Cluster, Keycloak, push_archive};

/// The proxy's cookie.
const COOKIE: &str = "_oauth2_proxy";

/// Where a browser shows Keycloak's form.
const FORM: [&str; 3] = ["#username", "#password", "#kc-login"];

/// What the proxy calls a person towards the service behind it, and with `X-Forwarded-` for `X-Auth-Request-`.
const IDENTITY_HEADERS: [&str; 4] = ["User", "Email", "Groups", "Preferred-Username"];

/// A release with sign-on, and a browser.
pub(crate) struct Dashboard {
    release: Devpi,
    pub(crate) browser: Browser,
    keycloak: Keycloak,
    settings: Vec<String>,
    health: Value,
}

impl Dashboard {
    /// A new release with this routing. None where the cluster cannot have the parts.
    pub(crate) fn open(routing: &str) -> Option<Self> {
        let release = Devpi::new()?;
        let cluster = release.cluster();
        let browser = Browser::open(cluster)?;
        let keycloak = cluster.keycloak().expect("the harness started the cluster").expect("it exists");
        let authority =
            fs::read(cluster.authority().expect("the harness started the cluster")).expect("readable");
        let ca = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca"},
            "data": {"ca.crt": STANDARD.encode(authority)}});
        release.namespace().apply(json!([ca])).expect("applied");
        // As an operator has it: in the platform's registry, which is asked with the pull Secret.
        let archive = cluster.oauth2_proxy_archive().expect("a node with Keycloak has the image");
        let proxy = push_archive(cluster, archive, &format!("library/oauth2-proxy-{}:1", release.name));
        let settings = vec![
            release.ready_image(),
            format!("oauth2_proxy_image={}", proxy.expect("pushed")),
            format!("oauth2_proxy_redis_image={}", cluster.valkey_image().expect("the image is built")),
            format!("keycloak_ca_secret={}/ca", release.namespace().name()),
            routing.to_owned(),
        ];
        let mut dashboard = Self { release, browser, keycloak, settings, health: Value::Null };
        dashboard.health = dashboard.apply().json()["health"].take();
        // The controller may know the dashboard's route before the login's.
        let issuer = format!("{}/realms/{}/", dashboard.keycloak.url, dashboard.keycloak.realm);
        web::leads_to(dashboard.cluster(), &dashboard.url("/oauth2/start"), &issuer);
        Some(dashboard)
    }

    fn apply(&self) -> Run {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        self.release.apply(&settings).ends_with(0)
    }

    fn cluster(&self) -> &Cluster {
        self.release.cluster()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.release.dashboard())
    }

    fn ask(&self, path: &str, arguments: &[&str]) -> Answer {
        let url = self.url(path);
        web::curl(self.cluster(), &[arguments, &[&url]].concat()).expect("the server answers")
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let namespace = ["--namespace", &self.release.name];
        self.release.kubectl(&[&namespace[..], arguments].concat()).ends_with(0).stdout
    }

    /// The pods of the server, the proxy and the store, each with its UID and restarts.
    fn pods(&self) -> BTreeSet<String> {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} \
            {.status.containerStatuses[0].restartCount}{'\\n'}{end}";
        let apps = "app in (devpi,oauth2-proxy,ephemeral-redis)";
        let listed = self.kubectl(&["get", "pods", "-l", apps, "-o", path]);
        listed.lines().map(str::to_owned).collect()
    }

    /// The proxy dials the store when it starts and ends where the store does not answer.
    fn never_restarted(&self) {
        let pods = self.pods();
        assert_eq!(pods.len(), 3, "{pods:?}");
        assert!(pods.iter().all(|pod| pod.ends_with(" 0")), "{pods:?}");
    }

    /// Rows 41 to 49, 127, 138 to 140: what an operator checks after an install.
    pub(crate) fn is_healthy(&self) {
        let passed = |outcomes: &Value| -> BTreeSet<String> {
            let outcomes = outcomes.as_array().expect("it is a list");
            assert!(outcomes.iter().all(|outcome| outcome["status"] == "passed"), "{outcomes:?}");
            outcomes.iter().map(|outcome| outcome["name"].as_str().expect("it is text").to_owned()).collect()
        };
        let health = passed(&self.health);
        for check in ["session-store", "oauth2-proxy", "dashboard-asks-for-login"] {
            assert!(health.contains(check), "{health:?}");
        }
        self.never_restarted();
        let plugin = devpi().to_str().expect("it is text");
        let check = ["check", &self.release.name, "--tests", "--plugin", plugin, "-o", "json"];
        let tested = passed(&self.release.run(&check).ends_with(0).json());
        assert!(tested.contains("oauth2-callback"), "{tested:?}");
        for deployment in ["deployment/ephemeral-redis", "deployment/oauth2-proxy"] {
            self.kubectl(&["rollout", "status", deployment, "--timeout=1s"]);
        }
        // No login was begun.
        let refused = self.ask("/oauth2/callback", &["--head"]);
        assert!(matches!(refused.status, 403 | 500), "{refused:?}");
    }

    pub(crate) fn sends_strangers_to_the_login(&self) {
        let asked = self.ask("/root/stable?from=a-link", &[]).with(302);
        let to = asked.header("location").expect("a place").to_owned();
        let login = format!("{}/realms/{}/", self.keycloak.url, self.keycloak.realm);
        assert!(to.starts_with(&self.url("/oauth2/start?rd=")) || to.starts_with(&login), "{to}");
        assert!(!asked.body.contains("root/stable"), "{asked:?}");
        self.ask("/oauth2/auth", &[]).with(401);
        let forged = format!("{COOKIE}=forged");
        self.ask("/", &["--cookie", &forged]).with(302);
        self.ask("/oauth2/auth", &["--cookie", &forged]).with(401);
        // No other site gets a person who logs in or out here.
        let other_site = self.ask("/oauth2/sign_out?rd=https://evil.example.org/", &[]).with(302);
        assert_eq!(other_site.header("location"), Some("/"), "{other_site:?}");
    }

    fn form(&self, browser: &Browser, url: &str, user: &str, password: &str) {
        browser.go(url);
        browser.arrives_at(&self.keycloak.url);
        let [name, secret, button] = FORM;
        browser.fill(name, user);
        browser.fill(secret, password);
        browser.click(button);
    }

    pub(crate) fn refuses_a_wrong_password_and_people_of_another_realm(&self) {
        let (name, home) = (&self.release.name, self.url("/"));
        let other = self.release.admin.realm(name, name, &self.url("/oauth2/callback"));
        for (user, password) in [(&self.keycloak.user, &"wrong".to_owned()), (&other.user, &other.password)] {
            self.form(&self.browser, &home, user, password);
            let printed = self.browser.text("body");
            assert!(printed.contains("Invalid username or password"), "{user}: {printed}");
            assert!(self.browser.address().starts_with(&self.keycloak.url));
        }
        // A client of the same name and the login that the proxy has begun, but the realm is another.
        self.browser.go(&home);
        let begun = self.browser.arrives_at(&self.keycloak.url);
        let (ours, theirs) =
            (format!("/realms/{}/", self.keycloak.realm), format!("/realms/{}/", other.name));
        assert!(begun.contains(&ours), "{begun}");
        self.form(&self.browser, &begun.replace(&ours, &theirs), &other.user, &other.password);
        self.browser.arrives_at(&self.url("/oauth2/callback?"));
        let printed = self.browser.text("body");
        assert!(printed.contains("500") && !printed.contains("root/stable"), "{printed}");
        assert_eq!(self.browser.cookie(COOKIE), None, "no person is logged in");
        self.browser.go(&home);
        self.browser.arrives_at(&format!("{}{ours}", self.keycloak.url));
    }

    pub(crate) fn log_in_at(&self, url: &str) {
        self.form(&self.browser, url, &self.keycloak.user, &self.keycloak.user_password);
        assert_eq!(self.browser.arrives_at(url), url);
    }

    /// A picture of what the browser shows, by the routing.
    pub(crate) fn keep_a_picture(&self, what: &str) {
        let routing = self.settings.last().expect("the routing").replace('=', "-");
        self.browser.screenshot(&format!("devpi-{routing}-{what}"));
    }

    /// The session cookie, as curl takes it.
    pub(crate) fn session(&self) -> String {
        let cookie = self.browser.cookie(COOKIE).expect("a person is logged in");
        assert_eq!(cookie["domain"], ".thinkube.test");
        assert_eq!((&cookie["secure"], &cookie["httpOnly"]), (&json!(true), &json!(true)));
        assert_eq!(cookie["sameSite"], "Lax");
        format!("{COOKIE}={}", cookie["value"].as_str().expect("it is text"))
    }

    pub(crate) fn knows_the_person(&self, session: &str) {
        let answer = self.ask("/oauth2/auth", &["--cookie", session]).with(202);
        let person = answer.header("x-auth-request-preferred-username");
        assert_eq!(person, Some(self.keycloak.user.as_str()), "{answer:?}");
        assert!(answer.header("x-auth-request-email").is_some_and(|email| email.contains('@')), "{answer:?}");
        self.ask("/", &["--cookie", session]).with(200);
        assert_ne!(self.stored_sessions(), 0);
    }

    /// How many keys the store has.
    pub(crate) fn stored_sessions(&self) -> u32 {
        let printed = self.kubectl(&["exec", "deployment/ephemeral-redis", "--", "valkey-cli", "dbsize"]);
        printed
            .trim()
            .trim_start_matches("(integer) ")
            .parse()
            .unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    pub(crate) fn log_tells_of_the_login_and_of_no_secret(&self, session: &str) {
        let log = self.kubectl(&["logs", "deployment/oauth2-proxy"]);
        assert!(log.contains("Authenticated via OAuth2"), "{log}");
        let ticket = session.split_once('=').expect("a pair").1;
        let secrets = ["client-secret", "cookie-secret"].map(|key| self.release.secret("oauth2-proxy", key));
        for secret in [&secrets[0], &secrets[1], &self.keycloak.user_password, ticket] {
            assert!(!log.contains(secret), "the proxy's log holds a secret");
        }
    }

    /// The API and the dashboard are asked every 100 ms meanwhile.
    pub(crate) fn is_applied_again_without_a_write_or_a_failed_request(&self, session: &str) {
        let (pods, mark) = (self.pods(), self.release.audit_mark());
        let api = self.release.polled();
        let people = self.release.polled_with(&["--cookie", session, &self.url("/root/stable")]);
        let again = self.apply();
        api.none_failed();
        people.none_failed();
        assert_eq!(again.json()["changed"], false, "{}", again.stderr);
        self.release.assert_no_writes_since(mark);
        assert_eq!(self.pods(), pods);
    }

    pub(crate) fn believes_no_identity_headers_of_a_client(&self, session: &str) {
        let names = ["X-Auth-Request-", "X-Forwarded-"]
            .iter()
            .flat_map(|prefix| IDENTITY_HEADERS.map(|header| format!("{prefix}{header}: mallory")));
        let names: Vec<String> = names.collect();
        let lies: Vec<&str> = names.iter().flat_map(|lie| ["--header", lie]).collect();
        self.ask("/", &lies).with(302);
        self.ask("/oauth2/auth", &lies).with(401);
        // The API's host is open, and DevPI knows no person there but by a login of its own.
        let url = format!("{}/+api", self.release.api());
        let api = [&lies[..], &["--header", "Accept: application/json", &url]].concat();
        let api = web::curl(self.cluster(), &api).expect("the server answers").with(200).json();
        assert_eq!(api["result"]["authstatus"][0], "noauth", "{api}");

        self.stand_in_for_the_server();
        let page = self.url("/echo");
        let arguments = [&lies[..], &["--cookie", session, &page]].concat();
        // The Service leads to the other pod a moment later.
        let told = eventually("what reaches the server", || {
            let answer = web::curl(self.cluster(), &arguments).map_err(|run| run.stderr)?;
            if answer.status == 200 && answer.header("server") == Some("echo") {
                Ok(answer.body)
            } else {
                Err(format!("{answer:?}"))
            }
        });
        assert!(!told.contains("mallory"), "{told}");
        let told = told.to_lowercase();
        assert!(told.contains(&format!("-preferred-username: {}\n", self.keycloak.user)), "{told}");
    }

    /// A pod that answers with the headers that it gets, where DevPI's Service leads to.
    fn stand_in_for_the_server(&self) {
        let script = "import http.server\n\
            class Echo(http.server.BaseHTTPRequestHandler):\n\
            \x20   def version_string(self):\n\
            \x20       return 'echo'\n\
            \x20   def do_GET(self):\n\
            \x20       printed = str(self.headers).encode()\n\
            \x20       self.send_response(200)\n\
            \x20       self.send_header('Content-Length', str(len(printed)))\n\
            \x20       self.end_headers()\n\
            \x20       self.wfile.write(printed)\n\
            http.server.ThreadingHTTPServer(('', 3141), Echo).serve_forever()\n";
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "echo", "labels": {"app": "echo"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "echo", "image": self.cluster().devpi_image(), "command": ["python3", "-c", script],
                "ports": [{"name": "http", "containerPort": 3141}],
            }]}
        });
        let file = self.release.path("echo.json");
        fs::write(&file, pod.to_string()).expect("the folder is writable");
        self.kubectl(&["apply", "-f", file.to_str().expect("it is text")]);
        self.kubectl(&["wait", "--for=condition=Ready", "pod/echo", "--timeout=300s"]);
        let selector = json!({"spec": {"selector": {"app": "echo"}}}).to_string();
        self.kubectl(&["patch", "service", "devpi", "--type=merge", "--patch", &selector]);
        // The proxy keeps connections to the server, which lead there as long as it lives.
        self.kubectl(&["scale", "deployment/devpi", "--replicas=0"]);
    }

    pub(crate) fn ends_the_session_at_the_logout(&self, session: &str) {
        // Keycloak would let the same browser in again without a password.
        let protocol = format!("realms/{}/protocol/openid-connect", self.keycloak.realm);
        self.browser.go(&format!("{}/{protocol}/logout", self.keycloak.url));
        self.browser.click("#kc-logout");
        eventually("an end of Keycloak's session", || {
            let printed = self.browser.text("body");
            if printed.contains("logged out") { Ok(()) } else { Err(printed) }
        });
        self.ask("/oauth2/auth", &["--cookie", session]).with(202);
        let before = self.stored_sessions();
        self.browser.go(&self.url("/oauth2/sign_out"));
        self.browser.arrives_at(&self.keycloak.url);
        assert!(self.browser.text("body").contains("Sign in"), "{}", self.browser.text("body"));
        assert!(self.stored_sessions() < before, "the session is still in the store");
        self.ask("/oauth2/auth", &["--cookie", session]).with(401);
        self.ask("/", &["--cookie", session]).with(302);
    }

    /// Of the cluster's Keycloak only this release's proxy loses sight: others use it too.
    pub(crate) fn keeps_the_session_while_keycloak_is_out_of_reach(&self, session: &str) {
        let other = Browser::open(self.cluster()).expect("there was one before");
        let cut = Cut::new(self);
        for _ in 0..5 {
            self.ask("/oauth2/auth", &["--cookie", session]).with(202);
            self.ask("/root/stable", &["--cookie", session]).with(200);
        }
        self.browser.go(&self.url("/"));
        self.browser.shows("root/stable");
        // Who comes now cannot log in, and is not let in either.
        let (user, password) = (&self.keycloak.user, &self.keycloak.user_password);
        self.form(&other, &self.url("/"), user, password);
        other.arrives_at(&self.url("/oauth2/callback?"));
        let printed = other.text("body");
        assert!(printed.contains("500") && !printed.contains("root/stable"), "{printed}");
        drop(cut);
        other.go(&self.url("/"));
        other.arrives_at(&self.url("/"));
        other.shows("root/stable");
        self.never_restarted();
    }

    /// Returns the session of a new login.
    pub(crate) fn loses_the_session_with_the_store(&self, session: &str) -> String {
        self.kubectl(&["scale", "deployment/ephemeral-redis", "--replicas=0"]);
        self.kubectl(&["wait", "--for=delete", "pod", "-l", "app=ephemeral-redis", "--timeout=300s"]);
        let closed = self.ask("/", &["--cookie", session]);
        assert!(closed.status >= 300 && !closed.body.contains("root/stable"), "{closed:?}");
        self.browser.go(&self.url("/"));
        let printed = self.browser.text("body");
        assert!(!printed.contains("root/stable"), "{printed}");
        assert!(printed.contains("500"), "{printed}");
        self.keep_a_picture("without-its-session-store");
        // The next apply brings it back.
        assert_eq!(self.apply().json()["changed"], true);
        web::until(self.cluster(), 401, &["--cookie", session, &self.url("/oauth2/auth")]);
        self.comes_in_again(session)
    }

    /// Keycloak still knows the person, who types nothing.
    fn comes_in_again(&self, old: &str) -> String {
        let home = self.url("/");
        eventually("the dashboard again", || {
            self.browser.go(&home);
            let (address, printed) = (self.browser.address(), self.browser.text("body"));
            if address == home && printed.contains("root/stable") {
                Ok(())
            } else {
                Err(format!("{address}: {printed}"))
            }
        });
        let session = self.session();
        assert_ne!(session, old);
        self.knows_the_person(&session);
        session
    }

    pub(crate) fn loses_the_session_with_the_cookie_secret(&self, session: &str) {
        let secret = || self.release.secret("oauth2-proxy", "cookie-secret");
        let (old, pods) = (secret(), self.pods());
        let plugin = devpi().to_str().expect("it is text");
        let name = &self.release.name;
        let run = ["run", "rotate-cookie-secret", "--release", name, "--plugin", plugin, "--yes"];
        let done = self.release.run(&run).ends_with(0);
        let new = secret();
        assert_ne!(new, old);
        for text in [&done.stdout, &done.stderr] {
            assert!(!text.contains(&new) && !text.contains(&old), "the operation tells a secret");
        }
        assert_eq!(self.pods().difference(&pods).count(), 1, "the proxy alone is another pod");
        web::until(self.cluster(), 401, &["--cookie", session, &self.url("/oauth2/auth")]);
        self.comes_in_again(session);
        let again = self.apply();
        assert_eq!(again.json()["changed"], false, "{}", again.stderr);
        assert_eq!(secret(), new, "an apply leaves the rotated secret");
    }

    pub(crate) fn goes_with_the_release(&self) {
        self.release.run(&["uninstall", &self.release.name, "--yes", "--delete-data"]).ends_with(0);
        assert!(self.release.client().is_none(), "the client is still in Keycloak");
        web::until(self.cluster(), 404, &[&self.url("/")]);
    }
}

/// The pod of a release's proxy reaches no front door of the platform until this is dropped.
struct Cut<'a> {
    dashboard: &'a Dashboard,
    rule: Vec<String>,
}

impl<'a> Cut<'a> {
    fn new(dashboard: &'a Dashboard) -> Self {
        let path = "jsonpath={.items[0].status.podIP}";
        let pod = dashboard.kubectl(&["get", "pods", "-l", "app=oauth2-proxy", "-o", path]);
        // A reset also ends the connections that the proxy keeps open.
        let rule =
            format!("INPUT --source {pod} --protocol tcp --dport 443 --jump REJECT --reject-with tcp-reset");
        let cut = Self { dashboard, rule: rule.split(' ').map(str::to_owned).collect() };
        cut.iptables("--insert").ends_with(0);
        cut
    }

    fn iptables(&self, action: &str) -> Run {
        thinkube_e2e::finish(
            self.dashboard.cluster().command("iptables").arg("--wait").arg(action).args(&self.rule),
        )
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        self.iptables("--delete");
    }
}
