//! Files in a home, by a real kernel.

use crate::support::{Place, action, file, files, granted, held, listing};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use thinkube_effects::{
    DiffLine, Error, Obstacle, SkipReason, Workstation, WorkstationAction, WorkstationState,
};
use thinkube_plan::{Permission, WorkstationDirectory, WorkstationPlan};
use thinkube_test_cluster::skip;

const FISH: &str = ".config/fish/conf.d/devpi.fish";
const PIP: &str = ".pip/pip.conf";
const SCRIPT: &str = "devpi-scripts/devpi-init-admin.sh";

/// As the DevPI plugin's is: files in folders that may be there or not.
fn devpi() -> WorkstationPlan {
    WorkstationPlan {
        directories: vec![
            WorkstationDirectory { path: "devpi-scripts".into(), mode: 0o755 },
            WorkstationDirectory { path: ".config/fish/conf.d".into(), mode: 0o755 },
        ],
        files: vec![
            file(FISH, 0o644, "set -gx DEVPI_URL https://devpi-api.example.org\n"),
            file(PIP, 0o600, "[global]\nindex-url = https://devpi-api.example.org/root/stable/+simple/\n"),
            file(SCRIPT, 0o755, "#!/bin/sh\nexec devpi use\n"),
        ],
        python_packages: vec![],
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn files_and_folders_get_the_modes_that_the_setup_says_whatever_the_umask_is() {
    let place = Place::new();
    for umask in [0o077, 0o000] {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let applied = place.apply(&devpi(), &[]).await.expect("it is done");
        rustix::process::umask(before);
        assert!(applied.changed && applied.skipped.is_empty(), "{applied:?}");
        for (path, mode) in [
            (FISH, 0o644),
            (PIP, 0o600),
            (SCRIPT, 0o755),
            ("devpi-scripts", 0o755),
            (".config/fish/conf.d", 0o755),
            // Only implied.
            (".config", 0o700),
            (".config/fish", 0o700),
            (".pip", 0o700),
        ] {
            assert_eq!(place.mode(path), mode, "{path} with umask {umask:o}");
        }
        assert_eq!(fs::metadata(place.record()).expect("a record").mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(place.state()).expect("its folder").mode() & 0o7777, 0o700);
        assert_eq!(place.remove(&[]), []);
        assert_eq!(place.all(), []);
    }
}

#[tokio::test]
async fn a_second_apply_writes_nothing() {
    let place = Place::new();
    assert!(place.diff(&devpi()).iter().all(|change| change.action == WorkstationAction::Create));
    place.apply(&devpi(), &[]).await.expect("it is done");
    let identity = |path| {
        let found = fs::metadata(path).expect("it is there");
        (found.ino(), found.mtime(), found.mtime_nsec())
    };
    let all = || [place.home().join(FISH), place.home().join(PIP), place.record()].map(identity);
    let before = all();
    let plan = place.diff(&devpi());
    assert!(plan.iter().all(|change| change.action == WorkstationAction::Unchanged), "{plan:?}");
    let applied = place.apply(&devpi(), &[]).await.expect("it is done");
    assert!(!applied.changed && applied.skipped.is_empty());
    assert_eq!(all(), before);
}

#[tokio::test]
async fn a_new_setup_changes_what_it_has_and_takes_away_what_it_no_longer_has() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("it is done");
    let new = WorkstationPlan {
        files: vec![file(PIP, 0o644, "[global]\nindex-url = https://other.example.org/\n")],
        ..WorkstationPlan::default()
    };
    let plan = place.diff(&new);
    let expected = WorkstationAction::Update {
        lines: vec![
            DiffLine::Same("[global]".into()),
            DiffLine::Removed("index-url = https://devpi-api.example.org/root/stable/+simple/".into()),
            DiffLine::Added("index-url = https://other.example.org/".into()),
        ],
        mode: Some((0o600, 0o644)),
    };
    assert_eq!(*action(&plan, PIP), expected);
    assert_eq!(*action(&plan, FISH), WorkstationAction::Remove);
    assert_eq!(*action(&plan, "devpi-scripts"), WorkstationAction::Remove);
    place.apply(&new, &[]).await.expect("it is done");
    let paths: Vec<String> = place.all().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, [".pip", PIP]);
    assert_eq!(place.mode(PIP), 0o644);
}

#[tokio::test]
async fn what_a_person_has_changed_stays_until_it_is_named_and_then_a_copy_stays() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("it is done");
    place.write(PIP, "mine\n");
    let mut new = devpi();
    new.files[1].content = "[global]\n".into();
    let plan = place.diff(&new);
    assert_eq!(*action(&plan, PIP), WorkstationAction::ChangedByHand { wanted: true });
    assert!(!format!("{plan:?}").contains("mine"), "what a person has written is not shown");

    let applied = place.apply(&new, &[]).await.expect("it is done");
    assert_eq!(applied.skipped.len(), 1);
    assert_eq!(applied.skipped[0].to_string(), "~/.pip/pip.conf was changed by hand and stays as it is");
    assert_eq!(place.read(PIP), "mine\n");
    assert_eq!(*action(&place.diff(&new), PIP), WorkstationAction::ChangedByHand { wanted: true });

    let applied = place.apply(&new, &[PIP]).await.expect("it is done");
    assert_eq!(applied.skipped[0].reason, SkipReason::BackedUpAs("pip.conf.orig-1".into()));
    assert_eq!(place.read(PIP), "[global]\n");
    assert_eq!(place.read(".pip/pip.conf.orig-1"), "mine\n");
    assert_eq!(*action(&place.diff(&new), PIP), WorkstationAction::Unchanged);

    place.write(PIP, "mine again\n");
    place.apply(&new, &[PIP]).await.expect("it is done");
    assert_eq!(place.read(".pip/pip.conf.orig-1"), "mine\n");
    assert_eq!(place.read(".pip/pip.conf.orig-2"), "mine again\n");
}

#[tokio::test]
async fn the_status_says_of_everything_that_the_release_has_made_how_it_is_now() {
    let place = Place::new();
    let status = || {
        let home = place.open();
        let found = home.release("devpi").expect("a release").status().expect("it can be looked at");
        found.into_iter().map(|found| (found.path, found.state)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!((place.open().releases().expect("none"), status()), (vec![], BTreeMap::new()));
    place.apply(&devpi(), &[]).await.expect("it is done");
    assert!(status().len() >= 6 && status().values().all(|state| *state == WorkstationState::InPlace));
    place.write(PIP, "mine\n");
    fs::remove_file(place.home().join(FISH)).expect("ours");
    fs::remove_dir_all(place.home().join("devpi-scripts")).expect("ours");
    symlink(place.outside(), place.home().join("devpi-scripts")).expect("a link");
    let in_the_way = WorkstationState::Blocked { at: "devpi-scripts".into(), obstacle: Obstacle::Link };
    for (path, state) in [
        (PIP, WorkstationState::ChangedByHand),
        (FISH, WorkstationState::Missing),
        (SCRIPT, in_the_way),
        (".pip", WorkstationState::InPlace),
    ] {
        assert_eq!(status()[path], state, "{path}");
    }
    assert_eq!(place.open().releases().expect("one"), ["devpi"]);
}

#[tokio::test]
async fn what_was_granted_is_on_record_as_long_as_there_is_something() {
    let place = Place::new();
    let on_record = || place.open().release("devpi").expect("a release").carried_grants();
    assert_eq!(on_record(), None);
    place.apply(&devpi(), &[]).await.expect("it is done");
    assert_eq!(on_record(), Some(held()));
    assert_eq!(place.remove(&[]), []);
    assert_eq!(on_record(), None);
}

#[tokio::test]
async fn a_mode_that_a_person_has_chosen_stays() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("it is done");
    let set = |path: &str, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(place.home().join(path), mode).expect("it is ours");
    };
    set(FISH, 0o600);
    set("devpi-scripts", 0o700);
    let plan = place.diff(&devpi());
    assert_eq!(*action(&plan, FISH), WorkstationAction::ChangedByHand { wanted: true });
    assert_eq!(*action(&plan, "devpi-scripts"), WorkstationAction::Unchanged);
    place.apply(&devpi(), &[]).await.expect("it is done");
    assert_eq!((place.mode(FISH), place.mode("devpi-scripts")), (0o600, 0o700));
}

#[tokio::test]
async fn what_was_there_before_is_neither_overwritten_nor_shown_nor_removed() {
    let place = Place::new();
    place.write(PIP, "index-url = https://me:secret@example.org/\n");
    // The very same as the setup's: it is a person's all the same.
    place.write(FISH, &devpi().files[0].content);
    let plan = place.diff(&devpi());
    assert_eq!(*action(&plan, PIP), WorkstationAction::Unmanaged);
    assert_eq!(*action(&plan, FISH), WorkstationAction::Unchanged);
    assert!(!format!("{plan:?}").contains("secret"));
    let applied = place.apply(&devpi(), &[]).await.expect("it is done");
    assert_eq!(applied.skipped[0].reason, SkipReason::Unmanaged);
    assert_eq!(place.remove(&[]), []);
    assert!(place.read(PIP).contains("secret"));
    assert!(place.read(FISH).contains("DEVPI_URL"));
}

#[tokio::test]
async fn a_name_that_is_not_to_be_overwritten_is_refused_before_anything_is_done() {
    let place = Place::new();
    for wrong in [FISH, "elsewhere", "../outside/x"] {
        let error = place.apply(&devpi(), &[wrong]).await.expect_err("there is nothing to overwrite");
        assert!(matches!(error, Error::NothingToOverwrite { .. }), "{error}");
    }
    assert_eq!(place.all(), []);
}

#[tokio::test]
async fn whatever_is_not_granted_or_hostile_is_refused_and_nothing_of_the_setup_is_done() {
    let place = Place::new();
    for wrong in [
        ".ssh/authorized_keys",
        "../outside/x",
        ".config/../../outside/x",
        "/etc/x",
        ".config/a\0b",
        ".config/a\nb",
        ".config/fish/conf.d/DEVPI.fish",
        ".config/x.thinkube-new",
        ".config/x.thinkube-old/y",
        ".local/share/thinkube/venvs/devpi/x",
    ] {
        let mut setup = devpi();
        setup.files.push(file(wrong, 0o644, "x"));
        let plan = place.diff(&setup);
        assert!(
            plan.iter().all(|change| matches!(change.action, WorkstationAction::Refused(_))),
            "{wrong:?}"
        );
        let error = place.apply(&setup, &[]).await.expect_err(wrong);
        assert!(matches!(error, Error::WorkstationRefused(_)), "{error}");
    }
    let mut wide = devpi();
    wide.files[0].mode = 0o4755;
    assert!(matches!(place.apply(&wide, &[]).await, Err(Error::WorkstationRefused(_))));
    assert_eq!(place.all(), []);
    assert_eq!(listing(&place.outside()), []);
}

#[tokio::test]
async fn the_hosts_own_records_are_out_of_reach_even_where_their_folder_is_granted() {
    let place = Place::new();
    let state = place.home().join(".local/state/thinkube-host/workstation");
    let home = Workstation::open(&place.home(), &state).expect("a home");
    let release = home.release("devpi").expect("a release");
    let granted = [Permission::WriteHome(".local".into())];
    for path in
        [".local/state/thinkube-host/workstation/other.json", ".local/share/thinkube/venvs/other/bin/python"]
    {
        let plan = release.diff(&files(&[(path, "x")]), &granted).expect("a plan");
        assert!(matches!(plan[0].action, WorkstationAction::Refused(_)), "{path}");
    }
}

#[tokio::test]
async fn a_link_is_in_the_way_wherever_it_leads() {
    let place = Place::new();
    fs::write(place.outside().join("pip.conf"), "theirs").expect("writable");
    let outside = listing(&place.outside());
    // The folder, the file, and one on the way; out of the home and within it.
    symlink(place.outside(), place.home().join(".pip")).expect("a link");
    fs::create_dir_all(place.home().join("elsewhere/conf.d")).expect("a folder");
    fs::create_dir(place.home().join(".config")).expect("a folder");
    symlink("../elsewhere", place.home().join(".config/fish")).expect("a link");
    fs::create_dir(place.home().join("devpi-scripts")).expect("a folder");
    symlink("/nowhere", place.home().join(SCRIPT)).expect("a link");
    let before = place.all();
    let plan = place.diff(&devpi());
    for (path, at) in [(PIP, ".pip"), (FISH, ".config/fish"), (SCRIPT, SCRIPT)] {
        let expected = WorkstationAction::Blocked { at: at.into(), obstacle: Obstacle::Link };
        assert_eq!(*action(&plan, path), expected);
    }
    let applied = place.apply(&devpi(), &[]).await.expect("the rest is done");
    assert!(!applied.changed);
    assert!(
        applied
            .skipped
            .iter()
            .any(|left| left.to_string()
                == "~/.pip/pip.conf: ~/.pip is a symbolic link; nothing was done to it")
    );
    assert_eq!(place.all(), before);
    assert_eq!(listing(&place.outside()), outside);
    assert_eq!(place.remove(&[]), []);
    assert_eq!(place.all(), before);
}

#[tokio::test]
async fn whatever_else_is_in_the_way_is_said_and_nothing_waits_for_a_pipe() {
    let place = Place::new();
    place.write(".config", "a file");
    fs::create_dir_all(place.home().join(PIP)).expect("a folder");
    fs::create_dir(place.home().join("devpi-scripts")).expect("a folder");
    let made = Command::new("mkfifo").arg(place.home().join(SCRIPT)).status().expect("mkfifo runs");
    assert!(made.success());
    let plan = place.diff(&devpi());
    for (path, at, what) in [
        (FISH, ".config", Obstacle::File),
        (PIP, PIP, Obstacle::Directory),
        (SCRIPT, SCRIPT, Obstacle::Special),
    ] {
        assert_eq!(*action(&plan, path), WorkstationAction::Blocked { at: at.into(), obstacle: what });
    }
    let applied = place.apply(&devpi(), &[]).await.expect("nothing can be done");
    assert!(!applied.changed);
    assert!(applied.skipped.len() >= 3, "{applied:?}");
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody who can write to the home swaps a folder for a link out of it, again and again, while the host is at work.
#[test]
fn links_that_are_swapped_in_meanwhile_lead_nothing_out_of_the_home() {
    let place = Place::new();
    fs::create_dir(place.outside().join("conf.d")).expect("a folder");
    fs::write(place.outside().join("conf.d/devpi.fish"), "theirs").expect("writable");
    let outside = listing(&place.outside());
    let (folder, aside) = (place.home().join(".config/fish"), place.home().join("aside"));
    fs::create_dir_all(folder.join("conf.d")).expect("a folder");
    let done = AtomicBool::new(false);
    let swaps = AtomicUsize::new(0);
    let written = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = fs::rename(&folder, &aside);
                let _ = symlink(place.outside(), &folder);
                swaps.fetch_add(1, Ordering::Relaxed);
                let _ = fs::remove_file(&folder);
                let _ = fs::rename(&aside, &folder);
            }
        });
        // Also when this panics, or nobody would ever hear of it.
        let _end = Ends(&done);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut written = 0;
        let end = std::time::Instant::now() + std::time::Duration::from_secs(4);
        while std::time::Instant::now() < end {
            for number in 0..2 {
                let setup = files(&[(FISH, &format!("{number}"))]);
                // Most of these see something in the way, or that the home has changed.
                match runtime.block_on(place.apply(&setup, &[])) {
                    Ok(applied) => written += usize::from(applied.changed),
                    Err(Error::WorkstationMoved(_) | Error::Workstation { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let _ = place.open().release("devpi").map(|mut release| release.remove(&[], &|_| ()));
        }
        written
    });
    assert!(swaps.into_inner() > 1000);
    assert!(written > 0, "some of them have hit the moment between two swaps");
    assert_eq!(listing(&place.outside()), outside);
}

/// The host dies after its first, second, third … effect: here it panics where it tells of it.
#[test]
fn a_host_that_dies_at_any_point_leaves_what_the_next_one_finishes_or_takes_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let old = WorkstationPlan {
        files: vec![file(PIP, 0o644, "old\n"), file(".config/old/file", 0o644, "old\n")],
        ..WorkstationPlan::default()
    };
    let applied = |place: &Place, setup: &WorkstationPlan| {
        runtime.block_on(place.apply(setup, &[])).unwrap_or_else(|error| panic!("{error}"));
    };
    let complete = {
        let place = Place::new();
        applied(&place, &old);
        applied(&place, &devpi());
        place.all()
    };
    let dies_after = |most: usize| {
        let count = AtomicUsize::new(0);
        move |_| assert!(count.fetch_add(1, Ordering::Relaxed) < most, "the host dies, as it should")
    };
    let mut died = 0;
    for most in 0..14 {
        for finish in [true, false] {
            let place = Place::new();
            applied(&place, &old);
            let cut = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(place.apply_watched(&devpi(), &[], &dies_after(most))).map(drop)
            }));
            died += usize::from(cut.is_err());
            if finish {
                applied(&place, &devpi());
                assert_eq!(place.all(), complete, "after {most}");
            }
            // The removal dies as well, and the next one goes on.
            let cut =
                catch_unwind(AssertUnwindSafe(|| place.remove_watched(&[], &dies_after(most)).map(drop)));
            died += usize::from(cut.is_err());
            assert_eq!(place.remove(&[]), [], "after {most}");
            assert_eq!(place.all(), [], "after {most}");
            assert!(!place.record().exists());
        }
    }
    assert!(died > 20, "{died}");
}

#[tokio::test]
async fn a_removal_leaves_what_a_person_has_changed_or_put_there_and_says_so() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("it is done");
    place.write(PIP, "mine\n");
    place.write("devpi-scripts/my.sh", "mine\n");
    let left: BTreeSet<String> = place.remove(&[]).iter().map(ToString::to_string).collect();
    let expected = [
        "~/.pip/pip.conf was changed by hand and stays as it is",
        "~/devpi-scripts holds what this release did not make, and stays",
    ];
    assert_eq!(left, expected.map(str::to_owned).into());
    assert!(!place.home().join(FISH).exists() && !place.home().join(".config").exists());
    // It is on record still, so that it can be said again what is to become of it.
    assert_eq!(place.remove(&[]).len(), 1);
    let left = place.remove(&[PIP]);
    assert_eq!(left[0].reason, SkipReason::BackedUpAs("pip.conf.orig-1".into()));
    assert_eq!(place.read(".pip/pip.conf.orig-1"), "mine\n");
    assert!(!place.record().exists());
}

#[tokio::test]
async fn nothing_is_done_when_the_home_is_no_longer_what_was_shown() {
    let place = Place::new();
    let home = place.open();
    let mut release = home.release("devpi").expect("a release");
    let shown = release.diff(&devpi(), &granted()).expect("a plan");
    place.write(PIP, "mine\n");
    let before = place.all();
    let error = release.apply(&devpi(), &held(), &shown, &[], &|_| ()).await.expect_err("it has changed");
    assert!(
        matches!(&error, Error::WorkstationMoved(paths) if paths.contains(&"~/.pip/pip.conf".to_owned())),
        "{error}"
    );
    assert_eq!(place.all(), before);
}

#[test]
fn one_host_at_a_time_works_on_a_home() {
    let place = Place::new();
    let home = place.open();
    let first = home.release("devpi").expect("a release");
    let second = place.open();
    assert!(matches!(second.release("other"), Err(Error::WorkstationBusy { .. })));
    drop(first);
    assert!(second.release("other").is_ok());
}

#[test]
fn a_record_that_leads_out_of_the_home_is_not_used() {
    let place = Place::new();
    fs::write(place.outside().join("x"), "theirs").expect("writable");
    let digest = thinkube_plan::Digest::of(b"theirs");
    let home = place.home().canonicalize().expect("it is there");
    for (home, path) in [(home.to_str().expect("text"), "../outside/x"), ("/somewhere/else", ".pip/pip.conf")]
    {
        fs::create_dir_all(place.state()).expect("a folder");
        let text = format!(
            r#"{{"version":1,"home":"{home}","files":{{"{path}":{{"written":{{"digest":"{digest}","mode":420}}}}}},"directories":{{}},"python":null}}"#
        );
        fs::write(place.record(), text).expect("writable");
        let error = place.open().release("devpi").err().expect("it is not used");
        assert!(matches!(error, Error::RecordMalformed { .. }), "{error}");
    }
    assert!(place.outside().join("x").exists());
}

#[test]
fn a_home_of_another_user_is_not_written_to() {
    if !is_root() {
        skip("only root can give a folder to another user");
        return;
    }
    let place = Place::new();
    std::os::unix::fs::chown(place.home(), Some(12345), None).expect("root may");
    let error = Workstation::open(&place.home(), &place.state()).err().expect("it is another's");
    assert!(matches!(error, Error::ForeignHome { .. }), "{error}");
}

#[test]
fn a_release_is_a_dns_label() {
    let place = Place::new();
    for wrong in ["", "../x", "a/b", "A", "a.b"] {
        assert!(matches!(place.open().release(wrong), Err(Error::Invalid { .. })), "{wrong}");
    }
}
