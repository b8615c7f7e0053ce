//! Runs one fixed script in running containers.
//!
//! Paths, lines and contents reach the script as arguments and on its standard input. No text of a plan may become part of
//! the script.

use crate::api::client::Client;
use crate::api::connect::innermost;
use crate::api::resource::ApiResource;
use crate::error::Error;
use crate::error::api::ApiError;
use crate::error::pod_files::PodFilesError;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// The longest time for one run. The largest file takes less, even on a slow node.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest error message of a program, in bytes.
const MAX_MESSAGE_BYTES: u64 = 4 << 10;
const BUFFER_BYTES: usize = 64 << 10;

/// The container must have a POSIX shell, and cat, chmod, grep, ls, mkdir, mv, rm, tail and wc.
///
/// A complete file replaces the old one by a rename, so that no program reads half of it. A line is added and deleted in
/// place, so that the file keeps its owner and mode.
const SCRIPT: &str = r#"
set -efu
umask 022
new="$2.thinkube-new"
plain() {
  if [ -h "$1" ]; then echo "it is a symbolic link, and nothing is written through it" >&2; exit 1; fi
  if [ -d "$1" ]; then echo "it is a folder" >&2; exit 1; fi
}
folder() {
  if [ -n "${1%/*}" ] && [ ! -d "${1%/*}" ]; then mkdir -p "${1%/*}"; fi
}
case "$1" in
read)
  if [ -h "$2" ]; then echo link
  elif [ -d "$2" ]; then echo folder
  elif [ -f "$2" ]; then ls -ldn "$2"; cat "$2"
  elif [ -e "$2" ]; then echo special
  else echo absent
  fi ;;
write)
  plain "$2"
  folder "$2"
  rm -f "$new"
  (umask 077; set -C; cat > "$new")
  if [ "$(($(wc -c < "$new")))" -ne "$4" ]; then rm -f "$new"; echo "the content did not arrive whole" >&2; exit 1; fi
  chmod "$3" "$new"
  mv -f "$new" "$2" ;;
mode)
  plain "$2"
  chmod "$3" "$2" ;;
delete)
  plain "$2"
  rm -f "$2" ;;
add-line)
  plain "$2"
  folder "$2"
  if [ -f "$2" ] && grep -qxF -e "$3" "$2"; then exit 0; fi
  if [ -s "$2" ] && [ -n "$(tail -c 1 "$2")" ]; then echo >> "$2"; fi
  printf '%s\n' "$3" >> "$2" ;;
delete-line)
  plain "$2"
  rm -f "$new"
  (umask 077; set -C; : > "$new")
  grep -vxF -e "$3" "$2" >> "$new" || [ $? -eq 1 ]
  if [ -s "$new" ]; then cat "$new" > "$2"; rm -f "$new"; else rm -f "$new" "$2"; fi ;;
esac
"#;

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) name: String,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} of pod {}/{}", self.name, self.namespace, self.pod)
    }
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PathState {
    Absent,
    /// `content` is None if the file is longer than the limit of the read.
    File {
        mode: u32,
        content: Option<Vec<u8>>,
    },
    /// An entry that the host never writes to, described in words.
    Other(&'static str),
}

/// The result of a run.
struct RunOutput {
    stdout: Vec<u8>,
    /// The error message; None after a success.
    failed: Option<String>,
}

fn pods_exec() -> ApiResource {
    ApiResource { plural: "pods/exec".into(), ..ApiResource::pod() }
}

/// The RBAC rights that pod files need in a namespace. A WebSocket opens with GET; since Kubernetes 1.35 the server requires
/// `create` too (KEP-4006).
pub(crate) fn rights_in_pods(namespace: &str) -> [(ApiResource, Option<String>, &'static str); 3] {
    [(ApiResource::pod(), "list"), (pods_exec(), "create"), (pods_exec(), "get")]
        .map(|(kind, verb)| (kind, Some(namespace.to_owned()), verb))
}

/// Reads up to `most` bytes at a path. None if the pod no longer exists.
pub(crate) async fn read_file(
    client: &Client,
    at: &Container,
    path: &str,
    most: usize,
) -> Result<Option<PathState>, Error> {
    // The first line is the description of the entry; the content follows.
    let most = most + MAX_MESSAGE_BYTES as usize;
    let Some(ran) = run_script(client, at, &["read", path], &[], most).await? else { return Ok(None) };
    if let Some(message) = ran.failed {
        return Err(failed(at, path, message));
    }
    path_state(&ran.stdout, most).map(Some).ok_or_else(|| {
        failed(
            at,
            path,
            "its `ls` does not print the POSIX format, so the present state of the path is unknown".into(),
        )
    })
}

/// Runs `action` on a path, with `rest` as its arguments. False if the pod no longer exists.
pub(crate) async fn run_action(
    client: &Client,
    at: &Container,
    action: &str,
    path: &str,
    rest: &[&str],
    stdin: &[u8],
) -> Result<bool, Error> {
    let arguments = [&[action, path], rest].concat();
    match run_script(client, at, &arguments, stdin, MAX_MESSAGE_BYTES as usize).await? {
        None => Ok(false),
        Some(RunOutput { failed: Some(message), .. }) => Err(failed(at, path, message)),
        Some(_) => Ok(true),
    }
}

async fn run_script(
    client: &Client,
    at: &Container,
    arguments: &[&str],
    stdin: &[u8],
    most: usize,
) -> Result<Option<RunOutput>, Error> {
    let run = async {
        let _permit = client.limiter().enter().await;
        attach(client, at, arguments, stdin, most).await
    };
    let timed_out = || no_answer(at, format!("the program did not end within {} s", RUN_TIMEOUT.as_secs()));
    tokio::time::timeout(RUN_TIMEOUT, run).await.unwrap_or_else(|_| Err(timed_out()))
}

async fn attach(
    client: &Client,
    at: &Container,
    arguments: &[&str],
    stdin: &[u8],
    most: usize,
) -> Result<Option<RunOutput>, Error> {
    let pods: Api<Pod> = Api::namespaced(client.kube(), &at.namespace);
    let parameters = AttachParams::default()
        .container(&at.name)
        .stdin(!stdin.is_empty())
        .max_stdin_buf_size(BUFFER_BYTES)
        .max_stdout_buf_size(BUFFER_BYTES)
        .max_stderr_buf_size(BUFFER_BYTES);
    let command = [&["sh", "-c", SCRIPT, "thinkube"], arguments].concat();
    let mut process = match pods.exec(&at.pod, command, &parameters).await {
        Ok(process) => process,
        Err(error) => return start_error(client, at, error).await,
    };
    let (input, output, errors) = (process.stdin(), process.stdout(), process.stderr());
    let status = process.take_status();
    let write = async {
        if let Some(mut input) = input {
            // Fails if the program has ended; the status has the reason.
            let _ = input.write_all(stdin).await;
            let _ = input.shutdown().await;
        }
    };
    let ((), stdout, stderr) =
        tokio::join!(write, read(output, most as u64), read(errors, MAX_MESSAGE_BYTES));
    if stdout.len() >= most {
        // The rest may be endless. Dropping the process ends it.
        return Ok(Some(RunOutput { stdout, failed: None }));
    }
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let Some(status) = status else {
        return Err(no_answer(at, "the connection was lost".to_owned()));
    };
    if status.status.as_deref() == Some("Success") {
        return Ok(Some(RunOutput { stdout, failed: None }));
    }
    if status.reason.as_deref() == Some("NonZeroExitCode") {
        let message = String::from_utf8_lossy(&stderr).trim().to_owned();
        let message = if message.is_empty() { status.message.unwrap_or_default() } else { message };
        return Ok(Some(RunOutput { stdout, failed: Some(message) }));
    }
    // The status of a run without a program.
    Err(nothing_runs(at, status.message.unwrap_or_default()))
}

/// Why the server did not start the program; None if the pod no longer exists.
async fn start_error(
    client: &Client,
    at: &Container,
    error: kube::Error,
) -> Result<Option<RunOutput>, Error> {
    let status = match error {
        kube::Error::Api(status) => status,
        kube::Error::Auth(error) => {
            let message = innermost(&error);
            return Err(Error::Api(ApiError::Unauthorized { server: client.server().to_owned(), message }));
        }
        error => {
            let message = innermost(&error);
            return Err(Error::Api(ApiError::Unreachable { server: client.server().to_owned(), message }));
        }
    };
    match status.code {
        404 => return Ok(None),
        401 => {}
        // Admission also returns 403. A SelfSubjectAccessReview tells RBAC from admission.
        403 => {
            for verb in ["create", "get"] {
                if !client.is_allowed(verb, "", "pods/exec", Some(&at.namespace)).await? {
                    return Err(client.forbidden_error(verb, &pods_exec(), Some(&at.namespace)).await.into());
                }
            }
        }
        // The node does not answer, or no longer has the container.
        _ => return Err(no_answer(at, status.message)),
    }
    Err(Error::Api(ApiError::Unexpected {
        what: format!("run a program in {at}"),
        code: status.code,
        reason: Some(status.reason),
        message: status.message,
    }))
}

async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // The stream is in memory. The status has the errors of the connection.
        let _ = stream.take(most).read_to_end(&mut bytes).await;
    }
    bytes
}

fn nothing_runs(at: &Container, message: String) -> Error {
    Error::PodFiles(PodFilesError::NoShell { container: at.to_string(), message })
}

fn no_answer(at: &Container, message: String) -> Error {
    Error::PodFiles(PodFilesError::NoAnswer { container: at.to_string(), message })
}

fn failed(at: &Container, path: &str, message: String) -> Error {
    Error::PodFiles(PodFilesError::PodFile { container: at.to_string(), path: path.to_owned(), message })
}

fn path_state(stdout: &[u8], most: usize) -> Option<PathState> {
    let end = stdout.iter().position(|byte| *byte == b'\n')?;
    let (line, content) = (std::str::from_utf8(&stdout[..end]).ok()?, &stdout[end + 1..]);
    Some(match line {
        "absent" => PathState::Absent,
        "link" => PathState::Other("a symbolic link"),
        "folder" => PathState::Other("a folder"),
        "special" => PathState::Other("not a regular file"),
        listed => {
            PathState::File { mode: mode(listed)?, content: (stdout.len() < most).then(|| content.to_vec()) }
        }
    })
}

/// The mode that `ls -l` shows as `-rwxr-xr-x` (POSIX, utility `ls`).
fn mode(listed: &str) -> Option<u32> {
    let letters = listed.as_bytes().get(1..10)?;
    let mut mode = 0;
    for (index, letter) in letters.iter().enumerate() {
        let bit = 0o400 >> index;
        let special = [0o4000, 0o2000, 0o1000][index / 3];
        mode |= match letter {
            b'-' => 0,
            b'r' | b'w' | b'x' => bit,
            b's' | b't' => bit | special,
            b'S' | b'T' => special,
            _ => return None,
        };
    }
    Some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    #[test]
    fn the_letters_of_ls_are_a_mode() {
        for (letters, expected) in [
            ("-rw-r--r-- 1 0 0 5 Jan 1 00:00 /a", 0o644),
            ("-rwxr-xr-x.", 0o755),
            ("-rwsr-S--T+", 0o7740),
            ("----------", 0),
        ] {
            assert_eq!(mode(letters), Some(expected), "{letters}");
        }
        assert_eq!((mode("-rw"), mode("-rw-r--r-?"), mode("")), (None, None, None));
    }

    #[test]
    fn a_longer_file_is_not_read_to_its_end() {
        let listed = b"-rw-r--r-- 1 0 0 5 Jan 1 00:00 /a\nabc".to_vec();
        assert_eq!(
            path_state(&listed, 100),
            Some(PathState::File { mode: 0o644, content: Some(b"abc".to_vec()) })
        );
        assert_eq!(path_state(&listed, listed.len()), Some(PathState::File { mode: 0o644, content: None }));
        assert_eq!(path_state(b"link\n", 100), Some(PathState::Other("a symbolic link")));
        assert_eq!((path_state(b"", 100), path_state(b"what\n", 100)), (None, None));
    }

    /// Runs the script with the shell of this machine.
    fn run(arguments: &[&str], stdin: &[u8]) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "thinkube"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Fails if the script has ended without reading its input.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    fn succeeds(arguments: &[&str], stdin: &[u8]) -> Vec<u8> {
        let output = run(arguments, stdin);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output.stdout
    }

    #[test]
    fn a_file_is_written_with_its_mode_read_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b/$(touch x)/*");
        let path = file.to_str().unwrap();
        assert_eq!(succeeds(&["read", path], b""), b"absent\n");
        succeeds(&["write", path, "0640", "6"], b"a\n$(b)");
        assert_eq!(fs::read(&file).unwrap(), b"a\n$(b)");
        let state = path_state(&succeeds(&["read", path], b""), 1000);
        assert_eq!(state, Some(PathState::File { mode: 0o640, content: Some(b"a\n$(b)".to_vec()) }));
        succeeds(&["mode", path, "0600"], b"");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        succeeds(&["delete", path], b"");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn an_incomplete_file_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let path = file.to_str().unwrap();
        succeeds(&["write", path, "0644", "3"], b"old");
        let cut = run(&["write", path, "0644", "10"], b"new");
        assert!(!cut.status.success() && String::from_utf8_lossy(&cut.stderr).contains("whole"), "{cut:?}");
        assert_eq!(
            (fs::read(&file).unwrap(), fs::read_dir(folder.path()).unwrap().count()),
            (b"old".to_vec(), 1)
        );
    }

    #[test]
    fn a_link_is_reported_and_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "theirs\n").unwrap();
        symlink(&file, &link).unwrap();
        let path = link.to_str().unwrap();
        assert_eq!(succeeds(&["read", path], b""), b"link\n");
        for arguments in [
            &["write", path, "0644", "1"][..],
            &["mode", path, "0600"],
            &["delete", path],
            &["add-line", path, "line"],
            &["delete-line", path, "theirs"],
        ] {
            assert!(!run(arguments, b"x").status.success(), "{arguments:?}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "theirs\n");
        assert_eq!(succeeds(&["read", folder.path().to_str().unwrap()], b""), b"folder\n");
    }

    #[test]
    fn a_line_is_added_once_and_deleted_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x/profile");
        let path = file.to_str().unwrap();
        let text = || fs::read_to_string(Path::new(path)).unwrap();
        let line = "export A=\"$(b)\" # -e .*";
        succeeds(&["add-line", path, line], b"");
        succeeds(&["add-line", path, line], b"");
        assert_eq!(text(), format!("{line}\n"));
        fs::write(&file, "export A=1").unwrap();
        succeeds(&["add-line", path, line], b"");
        assert_eq!(text(), format!("export A=1\n{line}\n"));
        succeeds(&["delete-line", path, line], b"");
        assert_eq!(text(), "export A=1\n");
        succeeds(&["delete-line", path, "export A=1"], b"");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0, "the folder is empty");
    }
}
