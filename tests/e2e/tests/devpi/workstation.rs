//! What a person types in bash, fish and pip after `thinkube-host workstation apply`.

use crate::clients::{clients, terminal, typed, wheel, without_settings_of_pip};
use crate::release::Devpi;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use thinkube_e2e::{Run, finish, web};

/// The user whose index the scripts make, and what that person types.
const USER: &str = "myuser";
const PASSWORD: &str = "typed by myuser";

/// A person with an empty home.
struct Person {
    release: Devpi,
    home: PathBuf,
}

impl Person {
    fn new() -> Option<Self> {
        let release = Devpi::new()?;
        let home = release.path("person");
        fs::create_dir(&home).expect("the folder is writable");
        Some(Self { release, home })
    }

    /// `thinkube-host workstation apply` as it runs on the person's machine, which has no setting of pip's in the environment.
    fn set_up(&self) -> Run {
        let authority = self.release.cluster().authority().expect("the harness started the cluster");
        let settings =
            [format!("auth_realm_username={USER}"), format!("devpi_ca_file={}", authority.display())];
        let home = self.home.to_str().expect("it is text");
        let mut host = self.release.plugin_command(
            &["workstation", "apply", "--yes", "-o", "json", "--home", home],
            &settings.each_ref().map(String::as_str),
        );
        without_settings_of_pip(&mut host);
        finish(&mut host)
    }

    /// The person's own environment: nothing in it says to pip or devpi where packages are, or whom to trust.
    fn at_home(&self, command: &mut Command) {
        without_settings_of_pip(command);
        for name in ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "DEVPI_URL"] {
            command.env_remove(name);
        }
        let path = format!("{}/.local/bin:/usr/local/bin:/usr/bin:/bin", self.home.display());
        command.env("HOME", &self.home).env("PATH", path);
    }

    /// A line that the person types into a shell, and what they type when they are asked.
    fn types(&self, shell: &str, line: &str, answers: &[(&str, &str)]) -> Run {
        let mut command = terminal(self.release.cluster());
        let folder = format!("cd {} && {line}", self.home.display());
        command.args([shell, "-c", &folder]);
        self.at_home(&mut command);
        typed(&mut command, answers)
    }

    fn bash(&self, line: &str) -> Run {
        self.types("bash", line, &[])
    }

    fn fish(&self, line: &str) -> Run {
        self.types("fish", line, &[])
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.home.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn mode(&self, file: &str) -> u32 {
        fs::metadata(self.home.join(file)).expect("it exists").permissions().mode() & 0o777
    }

    /// A page of the API as JSON.
    fn page(&self, path: &str) -> web::Answer {
        let url = format!("{}/{path}", self.release.api());
        web::curl(self.release.cluster(), &["--header", "Accept: application/json", &url])
            .expect("the server answers")
    }
}

#[test]
fn a_person_works_with_devpi_from_bash_fish_and_pip() {
    let Some(person) = Person::new() else { return };
    the_home_is_set_up_before_devpi_answers(&person);
    let image = person.release.ready_image();
    person.release.apply(&[&image, "oauth2_proxy_enabled=false"]).ends_with(0);

    the_functions_of_fish_make_an_index_and_upload(&person);
    the_script_for_bash_finds_the_index_and_logs_in(&person);
    the_commands_of_the_readme_work_as_they_are_typed(&person);
    pip_installs_by_its_configuration_alone(&person);
    a_project_folder_is_uploaded_and_installed(&person);
    assert_eq!(person.set_up().ends_with(0).json()["changed"], false);
}

/// The client is installed from the public index while `pip.conf` is about to name an index that nothing serves yet.
fn the_home_is_set_up_before_devpi_answers(person: &Person) {
    person.set_up().ends_with(0);
    let api = person.release.api();
    assert_eq!(person.read(".devpi.ini"), format!("[devpi]\nindex = {USER}/stable\n"));
    assert!(person.read(".pip/pip.conf").contains(&format!("index-url = {api}/root/stable/+simple/\n")));
    assert_eq!(
        (person.mode("devpi-scripts"), person.mode("devpi-scripts/devpi-init-admin.sh")),
        (0o755, 0o755)
    );
    person.fish("fish -n .config/fish/conf.d/devpi.fish").ends_with(0);
    person.bash("bash -n devpi-scripts/devpi-init-admin.sh").ends_with(0);
    assert!(person.fish("devpi --version").ends_with(0).stdout.contains("7.3.0"));
    let found = person.bash("which devpi").ends_with(0).stdout;
    assert_eq!(found.trim(), person.home.join(".local/bin/devpi").to_str().expect("it is text"));
    for file in [".config/fish/conf.d/devpi.fish", "devpi-scripts/devpi-init-admin.sh", ".pip/pip.conf"] {
        assert!(!person.read(file).contains(&person.release.password), "{file} holds the password");
    }
}

fn the_functions_of_fish_make_an_index_and_upload(person: &Person) {
    let (release, api) = (&person.release, person.release.api());
    let shown = person.fish("devpi-env").ends_with(0).stdout;
    for expected in [format!("DEVPI_URL={api}\n"), format!("{api}/root/stable"), release.dashboard()] {
        assert!(shown.contains(&expected), "{expected} is not in {shown}");
    }

    // Before a login nothing is uploaded, and a file that is not a package is refused without a request.
    let sample = wheel(&person.home, "thinkube_fish");
    let line = |argument: &str| format!("devpi-upload-pkg {argument}");
    let refused = |argument: &str, why: &str| {
        let printed = person.fish(&line(argument)).ends_with(1).stdout;
        assert!(printed.contains(why), "`{why}` is not in {printed}");
    };
    refused("", "usage: devpi-upload-pkg PATH");
    refused("one two", "usage: devpi-upload-pkg PATH");
    refused("nothing.whl", "nothing.whl is not a file");
    refused(sample.to_str().expect("it is text"), "log in first");

    let made = person.types(
        "fish",
        "devpi-init-admin",
        &[
            ("password", &release.password),
            ("password", PASSWORD),
            ("password", PASSWORD),
            ("password", PASSWORD),
        ],
    );
    assert!(made.ends_with(0).stdout.contains("upload with: devpi upload PATH"));
    let index = person.page(&format!("{USER}/stable?no_projects=")).with(200).json();
    assert_eq!(index["result"]["bases"], serde_json::json!(["root/pypi"]));

    person.fish(&line("thinkube_fish-1.0-py3-none-any.whl")).ends_with(0);
    person.page(&format!("{USER}/stable/thinkube-fish/1.0")).with(200);
    fs::write(person.home.join("broken.whl"), "not an archive").expect("the folder is writable");
    assert_ne!(person.fish(&line("broken.whl")).code, 0);
}

/// A second run makes nothing and ends logged in.
fn the_script_for_bash_finds_the_index_and_logs_in(person: &Person) {
    let again = person.types(
        "bash",
        "bash devpi-scripts/devpi-init-admin.sh",
        &[("password", &person.release.password), ("password", PASSWORD)],
    );
    let printed = again.ends_with(0).stdout;
    assert!(
        printed.contains("already exists") && printed.contains("upload with: devpi upload PATH"),
        "{printed}"
    );
    assert!(person.bash("devpi use").ends_with(0).stdout.contains(&format!("{USER}/stable")));
}

/// The blocks of the original's README, line by line, in a shell that knows nothing but its PATH.
fn the_commands_of_the_readme_work_as_they_are_typed(person: &Person) {
    let (api, password) = (person.release.api(), &person.release.password);
    let bash = |line: &str| person.bash(line).ends_with(0).stdout;
    bash(&format!("devpi use {api}/root/stable"));
    bash(&format!("devpi login root --password={password}"));
    bash("devpi index -c myindex bases=root/pypi");
    let mine = person.page("root/myindex?no_projects=").with(200).json();
    assert_eq!(mine["result"]["bases"], serde_json::json!(["root/pypi"]));
    let sample = wheel(&person.home, "thinkube_bash");
    bash(&format!("devpi upload {}", sample.display()));
    person.page("root/stable/thinkube-bash/1.0").with(200);

    // On this server root makes the indexes of others too.
    bash("devpi index -c myuser/myindex");
    person.page("myuser/myindex?no_projects=").with(200);
    person.types("bash", "devpi login myuser", &[("password", PASSWORD)]).ends_with(0);
    assert!(bash("devpi use myuser/myindex").contains("myuser/myindex"));
}

fn pip(person: &Person, line: &str) -> Run {
    let bin = clients().display();
    person.bash(&format!("{bin}/{line}"))
}

fn pip_installs_by_its_configuration_alone(person: &Person) {
    let url = format!("{}/root/stable/+simple/", person.release.api());
    assert_eq!(pip(person, "pip config get global.index-url").ends_with(0).stdout.trim(), url);
    pip(person, "pip install --no-cache-dir --no-deps --target installed thinkube_bash").ends_with(0);
    assert!(person.read("installed/thinkube_bash.py").contains("private"));
    assert_ne!(pip(person, "pip install --target installed thinkube_fish").code, 0, "it is in another index");
}

/// The build backend comes from DevPI too: the cluster's network leads nowhere else.
fn a_project_folder_is_uploaded_and_installed(person: &Person) {
    let mut download = Command::new(clients().join("pip"));
    download.args(["download", "--quiet", "--no-deps", "--dest"]).arg(&person.home).arg("flit_core==3.12.0");
    finish(download.stdin(Stdio::null())).ends_with(0);
    person.release.upload(&person.home.join("flit_core-3.12.0-py3-none-any.whl"));
    project(&person.home.join("project"));

    person.bash("cd project && devpi upload").ends_with(0);
    person.page("myuser/myindex/thinkube-project/2.1").with(200);
    let index = format!("{}/myuser/myindex/+simple/", person.release.api());
    let install = "pip install --no-cache-dir --target project-installed thinkube_project";
    pip(person, &format!("{install} --index-url {index}")).ends_with(0);
    assert!(person.read("project-installed/thinkube_project.py").contains("A project of a person"));
}

fn project(folder: &Path) {
    fs::create_dir(folder).expect("the folder is writable");
    let configuration = "[build-system]\nrequires = [\"flit_core==3.12.0\"]\nbuild-backend = \"flit_core.buildapi\"\n\n\
        [project]\nname = \"thinkube_project\"\nversion = \"2.1\"\ndescription = \"A project\"\n";
    fs::write(folder.join("pyproject.toml"), configuration).expect("the folder is writable");
    fs::write(folder.join("thinkube_project.py"), "\"\"\"A project of a person.\"\"\"\n")
        .expect("the folder is writable");
}
