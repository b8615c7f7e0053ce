//! The platform's installer calls the host at DevPI's place in its order: as a Job in the cluster, and as a task of a playbook.
//! What is tested are the files of docs/operate/installer.

use crate::release::Devpi;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};
use thinkube_e2e::{Run, devpi, finish, host, root, virtual_environment, web};
use thinkube_test_cluster::Buildah;

/// The longest that a Job may take to install DevPI on a busy machine.
const JOB_TIMEOUT: Duration = Duration::from_secs(300);

fn documented(file: &str) -> PathBuf {
    root().join("docs/operate/installer").join(file)
}

/// A file of the documentation with the names of this test.
fn manifest(release: &Devpi, file: &str) -> String {
    fs::read_to_string(documented(file))
        .expect("it exists")
        .replace("install-devpi", &format!("install-{}", release.name))
        .replace("thinkube-system", &release.state_namespace())
        .replace("namespace: devpi\n", &format!("namespace: {}\n", release.name))
        .replace("name: devpi\n", &format!("name: {}\n", release.name))
        .replace("example-com-tls", "thinkube-test-tls")
}

fn apply(release: &Devpi, objects: &str) {
    let path = release.path("objects.yaml");
    fs::write(&path, objects).expect("the folder is writable");
    release.kubectl(&["apply", "-f", path.to_str().expect("it is text")]).ends_with(0);
}

/// The platform's variables, with those of another component among them.
fn inventory(release: &Devpi) -> Value {
    let image = release.ready_image();
    json!({
        "domain_name": "thinkube.test",
        "devpi_namespace": release.name,
        "devpi_dashboard_hostname": format!("{}.{{{{ domain_name }}}}", release.name),
        "devpi_api_hostname": format!("{}-api.{{{{ domain_name }}}}", release.name),
        "devpi_image": image.trim_start_matches("devpi_image="),
        "harbor_registry": "registry.thinkube.test:5000",
        "keycloak_url": "https://auth.{{ domain_name }}",
        "oauth2_proxy_enabled": false,
        "code_server_env": false,
        "gitea_hostname": "{{ git | default('git') }}.{{ domain_name }}",
    })
}

/// An image of the host's program and the plugin, in the cluster's registry.
fn image(release: &Devpi) -> String {
    let (cluster, folder) = (release.cluster(), release.folder());
    let registry = cluster.registry().expect("its own").expect("a registry");
    let program = folder.join("thinkube-host");
    // Without the symbols of a development build it is a third as large.
    finish(Command::new("strip").arg("-o").arg(&program).arg(host())).ends_with(0);
    let buildah = Buildah::new(cluster).expect("a temporary folder can be made");
    buildah.add("thinkube-host", &program).expect("the folder is writable");
    buildah.add("devpi.wasm", devpi()).expect("the folder is writable");
    let base =
        buildah.load(&cluster.python_archive().expect("the image is built")).expect("it is an archive");
    let recipe = fs::read_to_string(documented("Containerfile")).expect("it exists");
    let recipe = recipe.replace("debian:trixie-slim", &base);
    let name = format!("{}/library/{}-host:0.1.0", registry.host, release.name);
    buildah.build(&name, &recipe, &[]).unwrap_or_else(|error| panic!("{error}"));
    buildah
        .push(&name, &name, &registry.auth_file, Some(&registry.certificates))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The documented Job, with the authority and the image of the test cluster.
fn job(release: &Devpi, image: &str) -> String {
    let documents = manifest(release, "job.yaml");
    let mut documents: Vec<Value> = documents
        .split("\n---\n")
        .map(|document| {
            serde_norway::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}"))
        })
        .collect();
    let authority =
        fs::read_to_string(release.cluster().authority().expect("the harness started the cluster"))
            .expect("readable");
    documents[0]["data"]["inventory.yaml"] = inventory(release).to_string().into();
    documents[0]["data"]["authority.pem"] = authority.into();
    let pod = &mut documents[1]["spec"]["template"]["spec"];
    pod["containers"][0]["image"] = image.into();
    let arguments = pod["containers"][0]["args"].as_array_mut().expect("it is a list");
    let more = [
        "--release",
        &release.name,
        "--state-namespace",
        &release.state_namespace(),
        "--ca-file",
        "/inventory/authority.pem",
    ];
    arguments.extend(more.map(Value::from));
    documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// Waits for the end of the Job. What it printed.
fn ended(release: &Devpi) -> Value {
    let (name, home) = (format!("install-{}", release.name), release.state_namespace());
    let job = format!("job/{name}");
    let begin = Instant::now();
    loop {
        let status = release.kubectl(&["get", &job, "-n", &home, "-o", "json"]).ends_with(0).json();
        let has = |kind: &str| {
            status["status"]["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
            })
        };
        if has("Complete") {
            break;
        }
        let logs = || release.kubectl(&["logs", &job, "-n", &home, "--tail=60"]);
        assert!(!has("Failed"), "{:?}", logs());
        assert!(begin.elapsed() < JOB_TIMEOUT, "{status:#} {:?}", logs());
        thread::sleep(Duration::from_secs(1));
    }
    let printed = release.kubectl(&["logs", &job, "-n", &home]).ends_with(0).stdout;
    assert!(!printed.contains(&release.password), "the log holds the password");
    // The log has the lines of stdout and of stderr in no fixed order. A line of progress begins with a time or a letter.
    let is_result = |line: &&str| line.trim_start().starts_with(['{', '}', '[', ']', '"']);
    let result: String = printed.lines().filter(is_result).collect();
    serde_json::from_str(&result).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

fn remove(release: &Devpi) {
    release.run(&["uninstall", &release.name, "--yes", "--delete-data"]).ends_with(0);
    let account = format!("install-{}", release.name);
    release
        .kubectl(&["delete", "clusterrole,clusterrolebinding", &account, "--ignore-not-found"])
        .ends_with(0);
    release
        .kubectl(&["delete", "role,rolebinding", &account, "-n", "default", "--ignore-not-found"])
        .ends_with(0);
    release
        .kubectl(&[
            "delete",
            "namespace",
            &release.name,
            &release.state_namespace(),
            "--ignore-not-found",
            "--wait=false",
        ])
        .ends_with(0);
}

#[test]
fn a_job_with_the_documented_rights_installs_devpi_in_the_cluster() {
    let Some(release) = Devpi::new() else { return };
    apply(&release, &manifest(&release, "rbac.yaml"));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"ADMIN_PASSWORD": release.password},
        "metadata": {"name": format!("install-{}", release.name), "namespace": release.state_namespace()}});
    let pull = ["get", "secret", "harbor-pull-secret", "-n", "default", "-o", "json"];
    let pull = release.kubectl(&pull).ends_with(0).json();
    let pull = json!({"apiVersion": "v1", "kind": "Secret", "type": pull["type"], "data": pull["data"],
        "metadata": {"name": "harbor-pull-secret", "namespace": release.state_namespace()}});
    apply(&release, &format!("{secret}\n---\n{pull}"));
    let job = job(&release, &image(&release));
    apply(&release, &job);
    let done = ended(&release);
    assert_eq!(done["changed"], true, "{done}");
    assert_eq!(done["inventory"]["foreign"], json!(["gitea_hostname"]));
    web::get(release.cluster(), &format!("{}/root/stable/+api", release.api()))
        .expect("the server answers")
        .with(200);
    assert_eq!(release.login(&release.password), 200);

    // The installer runs again: nothing to do.
    release
        .kubectl(&["delete", "job", &format!("install-{}", release.name), "-n", &release.state_namespace()])
        .ends_with(0);
    apply(&release, &job);
    assert_eq!(ended(&release)["changed"], false);
    remove(&release);
}

/// The programs of ansible-core.
fn ansible() -> &'static Path {
    static ANSIBLE: OnceLock<PathBuf> = OnceLock::new();
    ANSIBLE.get_or_init(|| virtual_environment(&["ansible-core==2.19.14"]))
}

/// Runs the documented playbook with the platform's inventory. `further` are arguments of the host, `more` of Ansible.
fn playbook(release: &Devpi, further: &[&str], more: &[&str]) -> Run {
    let (folder, cluster) = (release.folder(), release.cluster());
    let mut variables = inventory(release);
    variables["ansible_python_interpreter"] = json!(ansible().join("python"));
    let inventory = json!({"all": {"vars": variables, "children": {
        "k8s_control_plane": {"hosts": {"node1": {"ansible_host": "192.0.2.1"}, "node2": null}}}}});
    fs::write(folder.join("inventory.yaml"), inventory.to_string()).expect("the folder is writable");
    let names = ["registry".to_owned(), release.name.clone(), format!("{}-api", release.name)];
    let mut arguments = vec![
        json!("--release"),
        json!(release.name),
        json!("--kubeconfig"),
        json!(cluster.kubeconfig()),
        json!("--state-namespace"),
        json!(release.state_namespace()),
    ];
    let external = cluster.external_arguments(names).expect("the harness started the cluster");
    arguments.extend(external.into_iter().map(Value::from));
    arguments.extend(further.iter().map(|argument| json!(argument)));
    let home = folder.join("home");
    fs::create_dir_all(&home).expect("the folder is writable");
    let extra = json!({"thinkube_plugin": devpi(), "thinkube_arguments": arguments});
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(ansible().join("ansible-playbook"));
    command.current_dir(folder).args(["-i", "inventory.yaml", "-v", "-e", &extra.to_string()]).args(more);
    command.arg(documented("playbook.yaml")).stdin(Stdio::null());
    command
        .env("PATH", format!("{}:{path}", host().parent().expect("a temporary folder can be made").display()))
        .env("HOME", &home)
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ADMIN_PASSWORD", &release.password);
    let run = finish(&mut command);
    assert!(!run.stdout.contains(&release.password) && !run.stderr.contains(&release.password));
    run
}

#[test]
fn a_playbook_installs_devpi_once_and_writes_nothing_in_check_mode() {
    let Some(release) = Devpi::new() else { return };
    let changed = |further: &[&str], more: &[&str], count: u32| {
        let printed = playbook(&release, further, more).ends_with(0).stdout;
        let expected = format!("changed={count} ");
        assert!(
            printed.contains(&expected) && printed.contains("failed=0"),
            "{expected} is not in {printed}"
        );
    };
    let both = ["--workstation"];
    changed(&both, &["--check"], 1);
    release.assert_nothing_made();
    changed(&[], &[], 1);
    assert_eq!(release.login(&release.password), 200);
    // The server and its discovery are there, the operator's home is not set up: check mode says so.
    let home = release.path("home");
    changed(&[], &["--check"], 0);
    changed(&both, &["--check"], 1);
    assert!(!home.join(".pip/pip.conf").exists(), "check mode has changed something");
    // All of the original's 00_install.
    changed(&both, &[], 1);
    let shell = fs::read_to_string(home.join(".config/fish/conf.d/devpi.fish")).expect("it was written");
    assert!(shell.contains(&release.api()) && !shell.contains(&release.password), "{shell}");
    assert!(home.join(".pip/pip.conf").exists());
    let mark = release.audit_mark();
    changed(&both, &[], 0);
    changed(&both, &["--check"], 0);
    release.assert_no_writes_since(mark);
    // A setting that is refused fails the task.
    let failed = playbook(
        &release,
        &[],
        &["-e", r#"{"thinkube_apply_arguments": ["--set", "devpi_index_name=a/b"]}"#],
    );
    assert!(failed.code != 0 && failed.stdout.contains("devpi_index_name"), "{}", failed.stdout);
    remove(&release);
}
