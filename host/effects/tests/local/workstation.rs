//! Files in a home directory, with a real kernel.

use crate::support::{Place, action, file, files, granted, held, listing};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use thinkube_effects::{
    DiffLine, Obstacle, SkipReason, Workstation, WorkstationAction, WorkstationError, WorkstationState,
};
use thinkube_plan::{Permission, WorkstationDirectory, WorkstationPlan};
use thinkube_test_cluster::skip;

const FISH: &str = ".config/fish/conf.d/devpi.fish";
const PIP: &str = ".pip/pip.conf";
const SCRIPT: &str = "devpi-scripts/devpi-init-admin.sh";

/// A plan like that of the DevPI plugin.
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
async fn files_and_directories_get_their_modes_whatever_the_umask_is() {
    let place = Place::new();
    for umask in [0o077, 0o000] {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let applied = place.apply(&devpi(), &[]).await.expect("the plan is applied");
        rustix::process::umask(before);
        assert!(applied.changed && applied.skipped.is_empty(), "{applied:?}");
        for (path, mode) in [
            (FISH, 0o644),
            (PIP, 0o600),
            (SCRIPT, 0o755),
            ("devpi-scripts", 0o755),
            (".config/fish/conf.d", 0o755),
            // Named only as parts of paths.
            (".config", 0o700),
            (".config/fish", 0o700),
            (".pip", 0o700),
        ] {
            assert_eq!(place.mode(path), mode, "{path} with umask {umask:o}");
        }
        assert_eq!(fs::metadata(place.record()).expect("a record").mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(place.state()).expect("the directory of the records").mode() & 0o7777, 0o700);
        assert_eq!(place.remove(&[]), []);
        assert_eq!(place.all(), []);
    }
}

#[tokio::test]
async fn a_second_apply_writes_nothing() {
    let place = Place::new();
    assert!(place.diff(&devpi()).iter().all(|change| change.action == WorkstationAction::Create));
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
    let identity = |path| {
        let found = fs::metadata(path).expect("the entry exists");
        (found.ino(), found.mtime(), found.mtime_nsec())
    };
    let all = || [place.home().join(FISH), place.home().join(PIP), place.record()].map(identity);
    let before = all();
    let plan = place.diff(&devpi());
    assert!(plan.iter().all(|change| change.action == WorkstationAction::Unchanged), "{plan:?}");
    let applied = place.apply(&devpi(), &[]).await.expect("the plan is applied");
    assert!(!applied.changed && applied.skipped.is_empty());
    assert_eq!(all(), before);
}

#[tokio::test]
async fn a_new_plan_updates_its_files_and_removes_the_others() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
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
    place.apply(&new, &[]).await.expect("the plan is applied");
    let paths: Vec<String> = place.all().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, [".pip", PIP]);
    assert_eq!(place.mode(PIP), 0o644);
}

#[tokio::test]
async fn a_file_changed_by_hand_stays_until_it_is_named_to_be_overwritten() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
    place.write(PIP, "mine\n");
    let mut new = devpi();
    new.files[1].content = "[global]\n".into();
    let plan = place.diff(&new);
    assert_eq!(*action(&plan, PIP), WorkstationAction::ChangedByHand { wanted: true });
    assert!(!format!("{plan:?}").contains("mine"), "the content is private");

    let applied = place.apply(&new, &[]).await.expect("the plan is applied");
    assert_eq!(applied.skipped.len(), 1);
    assert_eq!(applied.skipped[0].to_string(), "~/.pip/pip.conf was changed by hand; it is unchanged");
    assert_eq!(place.read(PIP), "mine\n");
    assert_eq!(*action(&place.diff(&new), PIP), WorkstationAction::ChangedByHand { wanted: true });

    let applied = place.apply(&new, &[PIP]).await.expect("the plan is applied");
    assert_eq!(applied.skipped[0].reason, SkipReason::BackedUpAs("pip.conf.orig-1".into()));
    assert_eq!(place.read(PIP), "[global]\n");
    assert_eq!(place.read(".pip/pip.conf.orig-1"), "mine\n");
    assert_eq!(*action(&place.diff(&new), PIP), WorkstationAction::Unchanged);

    place.write(PIP, "mine again\n");
    place.apply(&new, &[PIP]).await.expect("the plan is applied");
    assert_eq!(place.read(".pip/pip.conf.orig-1"), "mine\n");
    assert_eq!(place.read(".pip/pip.conf.orig-2"), "mine again\n");
}

#[tokio::test]
async fn the_status_has_the_state_of_every_entry() {
    let place = Place::new();
    let status = || {
        let home = place.open();
        let found = home.release("devpi").expect("a release").status().expect("a status");
        found.into_iter().map(|found| (found.path, found.state)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!((place.open().releases().expect("none"), status()), (vec![], BTreeMap::new()));
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
    assert!(status().len() >= 6 && status().values().all(|state| *state == WorkstationState::InPlace));
    place.write(PIP, "mine\n");
    fs::remove_file(place.home().join(FISH)).expect("an own entry");
    fs::remove_dir_all(place.home().join("devpi-scripts")).expect("an own entry");
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
async fn the_grants_are_on_record_while_the_release_is_installed() {
    let place = Place::new();
    let on_record = || place.open().release("devpi").expect("a release").carried_grants();
    assert_eq!(on_record(), None);
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
    assert_eq!(on_record(), Some(held()));
    assert_eq!(place.remove(&[]), []);
    assert_eq!(on_record(), None);
}

#[tokio::test]
async fn a_mode_that_a_person_set_stays() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
    let set = |path: &str, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(place.home().join(path), mode).expect("an own file");
    };
    set(FISH, 0o600);
    set("devpi-scripts", 0o700);
    let plan = place.diff(&devpi());
    assert_eq!(*action(&plan, FISH), WorkstationAction::ChangedByHand { wanted: true });
    assert_eq!(*action(&plan, "devpi-scripts"), WorkstationAction::Unchanged);
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
    assert_eq!((place.mode(FISH), place.mode("devpi-scripts")), (0o600, 0o700));
}

#[tokio::test]
async fn an_unmanaged_file_is_not_overwritten_shown_or_removed() {
    let place = Place::new();
    place.write(PIP, "index-url = https://me:secret@example.org/\n");
    // The same content as the plan's, but the release did not write it.
    place.write(FISH, &devpi().files[0].content);
    let plan = place.diff(&devpi());
    assert_eq!(*action(&plan, PIP), WorkstationAction::Unmanaged);
    assert_eq!(*action(&plan, FISH), WorkstationAction::Unchanged);
    assert!(!format!("{plan:?}").contains("secret"));
    let applied = place.apply(&devpi(), &[]).await.expect("the plan is applied");
    assert_eq!(applied.skipped[0].reason, SkipReason::Unmanaged);
    assert_eq!(place.remove(&[]), []);
    assert!(place.read(PIP).contains("secret"));
    assert!(place.read(FISH).contains("DEVPI_URL"));
}

#[tokio::test]
async fn a_name_that_needs_no_overwriting_is_refused_before_any_write() {
    let place = Place::new();
    for wrong in [FISH, "other", "../outside/x"] {
        let error = place.apply(&devpi(), &[wrong]).await.expect_err("nothing needs overwriting");
        assert!(matches!(error, WorkstationError::NothingToOverwrite { .. }), "{error}");
    }
    assert_eq!(place.all(), []);
}

#[tokio::test]
async fn a_hostile_or_denied_entry_refuses_the_whole_plan() {
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
        let diff = place.open().release("devpi").expect("a release").diff(&setup, &granted());
        assert!(matches!(diff, Err(WorkstationError::InvalidPlan(_))), "{wrong:?}");
        let error = place.apply(&setup, &[]).await.expect_err(wrong);
        assert!(matches!(error, WorkstationError::InvalidPlan(_)), "{error}");
    }
    let mut wide = devpi();
    wide.files[0].mode = 0o4755;
    assert!(matches!(place.apply(&wide, &[]).await, Err(WorkstationError::InvalidPlan(_))));
    assert_eq!(place.all(), []);
    assert_eq!(listing(&place.outside()), []);
}

#[tokio::test]
async fn the_hosts_records_are_reserved_even_if_their_directory_is_granted() {
    let place = Place::new();
    let state = place.home().join(".local/state/thinkube-host/workstation");
    let home = Workstation::open(&place.home(), &state).expect("a home");
    let release = home.release("devpi").expect("a release");
    let granted = [Permission::WriteHome(".local".into())];
    for path in
        [".local/state/thinkube-host/workstation/other.json", ".local/share/thinkube/venvs/other/bin/python"]
    {
        let diff = release.diff(&files(&[(path, "x")]), &granted);
        assert!(matches!(diff, Err(WorkstationError::InvalidPlan(_))), "{path}");
    }
}

#[tokio::test]
async fn a_link_blocks_an_entry_wherever_it_leads() {
    let place = Place::new();
    fs::write(place.outside().join("pip.conf"), "theirs").expect("writable");
    let outside = listing(&place.outside());
    // A directory, a file, and a part of a path; out of the home and within it.
    symlink(place.outside(), place.home().join(".pip")).expect("a link");
    fs::create_dir_all(place.home().join("other/conf.d")).expect("a directory");
    fs::create_dir(place.home().join(".config")).expect("a directory");
    symlink("../other", place.home().join(".config/fish")).expect("a link");
    fs::create_dir(place.home().join("devpi-scripts")).expect("a directory");
    symlink("/nowhere", place.home().join(SCRIPT)).expect("a link");
    let before = place.all();
    let plan = place.diff(&devpi());
    for (path, at) in [(PIP, ".pip"), (FISH, ".config/fish"), (SCRIPT, SCRIPT)] {
        let expected = WorkstationAction::Blocked { at: at.into(), obstacle: Obstacle::Link };
        assert_eq!(*action(&plan, path), expected);
    }
    let applied = place.apply(&devpi(), &[]).await.expect("the other entries are written");
    assert!(!applied.changed);
    assert!(
        applied
            .skipped
            .iter()
            .any(|skipped| skipped.to_string() == "~/.pip/pip.conf is unchanged: ~/.pip is a symbolic link")
    );
    assert_eq!(place.all(), before);
    assert_eq!(listing(&place.outside()), outside);
    assert_eq!(place.remove(&[]), []);
    assert_eq!(place.all(), before);
}

#[tokio::test]
async fn every_other_obstacle_is_reported_and_no_pipe_is_waited_for() {
    let place = Place::new();
    place.write(".config", "a file");
    fs::create_dir_all(place.home().join(PIP)).expect("a directory");
    fs::create_dir(place.home().join("devpi-scripts")).expect("a directory");
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
    let applied = place.apply(&devpi(), &[]).await.expect("a report");
    assert!(!applied.changed);
    assert!(applied.skipped.len() >= 3, "{applied:?}");
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Another process swaps a directory for a link out of the home, again and again, during a run.
#[test]
fn links_that_appear_during_a_run_lead_nothing_out_of_the_home() {
    let place = Place::new();
    fs::create_dir(place.outside().join("conf.d")).expect("a directory");
    fs::write(place.outside().join("conf.d/devpi.fish"), "theirs").expect("writable");
    let outside = listing(&place.outside());
    let (folder, aside) = (place.home().join(".config/fish"), place.home().join("aside"));
    fs::create_dir_all(folder.join("conf.d")).expect("a directory");
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
        // Also on a panic, or the other thread would never end.
        let _end = Ends(&done);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut written = 0;
        let end = std::time::Instant::now() + std::time::Duration::from_secs(4);
        while std::time::Instant::now() < end {
            for number in 0..2 {
                let setup = files(&[(FISH, &format!("{number}"))]);
                // Most runs meet an obstacle or a change.
                match runtime.block_on(place.apply(&setup, &[])) {
                    Ok(applied) => written += usize::from(applied.changed),
                    Err(WorkstationError::Changed(_) | WorkstationError::Io { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let _ = place.open().release("devpi").map(|mut release| release.remove(&[], &|_| ()));
        }
        written
    });
    assert!(swaps.into_inner() > 1000);
    assert!(written > 0, "a run met the moment between two swaps");
    assert_eq!(listing(&place.outside()), outside);
}

/// The host panics at its first, second, third … event, in place of a crash.
#[test]
fn after_a_crash_at_any_point_the_next_run_finishes_or_removes() {
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
        move |_| assert!(count.fetch_add(1, Ordering::Relaxed) < most, "the crash of this test")
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
            // The removal crashes as well, and the next one continues.
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
async fn a_removal_keeps_and_reports_what_a_person_changed_or_added() {
    let place = Place::new();
    place.apply(&devpi(), &[]).await.expect("the plan is applied");
    place.write(PIP, "mine\n");
    place.write("devpi-scripts/my.sh", "mine\n");
    let left: BTreeSet<String> = place.remove(&[]).iter().map(ToString::to_string).collect();
    let expected = [
        "~/.pip/pip.conf was changed by hand; it is unchanged",
        "~/devpi-scripts stays: it holds files that this release did not write",
    ];
    assert_eq!(left, expected.map(str::to_owned).into());
    assert!(!place.home().join(FISH).exists() && !place.home().join(".config").exists());
    // The record keeps the file, so that a later removal can name it.
    assert_eq!(place.remove(&[]).len(), 1);
    let left = place.remove(&[PIP]);
    assert_eq!(left[0].reason, SkipReason::BackedUpAs("pip.conf.orig-1".into()));
    assert_eq!(place.read(".pip/pip.conf.orig-1"), "mine\n");
    assert!(!place.record().exists());
}

#[tokio::test]
async fn nothing_is_written_if_the_home_changed_after_the_preview() {
    let place = Place::new();
    let home = place.open();
    let mut release = home.release("devpi").expect("a release");
    let shown = release.diff(&devpi(), &granted()).expect("a plan");
    place.write(PIP, "mine\n");
    let before = place.all();
    let error = release.apply(&devpi(), &held(), &shown, &[], &|_| ()).await.expect_err("the home changed");
    assert!(
        matches!(&error, WorkstationError::Changed(paths) if paths.contains(&"~/.pip/pip.conf".to_owned())),
        "{error}"
    );
    assert_eq!(place.all(), before);
}

#[test]
fn one_host_at_a_time_has_a_home() {
    let place = Place::new();
    let home = place.open();
    let first = home.release("devpi").expect("a release");
    let second = place.open();
    assert!(matches!(second.release("other"), Err(WorkstationError::Busy { .. })));
    drop(first);
    assert!(second.release("other").is_ok());
}

#[test]
fn a_record_that_leads_out_of_the_home_is_refused() {
    let place = Place::new();
    fs::write(place.outside().join("x"), "theirs").expect("writable");
    let digest = thinkube_plan::Digest::of(b"theirs");
    let home = place.home().canonicalize().expect("the entry exists");
    for (home, path) in [(home.to_str().expect("text"), "../outside/x"), ("/somewhere/else", ".pip/pip.conf")]
    {
        fs::create_dir_all(place.state()).expect("a directory");
        let text = format!(
            r#"{{"version":1,"home":"{home}","files":{{"{path}":{{"written":{{"digest":"{digest}","mode":420}}}}}},"directories":{{}},"python":null}}"#
        );
        fs::write(place.record(), text).expect("writable");
        let error = place.open().release("devpi").err().expect("the record is refused");
        assert!(matches!(error, WorkstationError::RecordInvalid { .. }), "{error}");
    }
    assert!(place.outside().join("x").exists());
}

#[test]
fn a_home_of_another_user_is_refused() {
    if !is_root() {
        skip("only root can give a directory to another user");
        return;
    }
    let place = Place::new();
    std::os::unix::fs::chown(place.home(), Some(12345), None).expect("root may");
    let error = Workstation::open(&place.home(), &place.state()).err().expect("the home is refused");
    assert!(matches!(error, WorkstationError::ForeignHome { .. }), "{error}");
}

#[test]
fn a_release_is_a_dns_label() {
    let place = Place::new();
    for wrong in ["", "../x", "a/b", "A", "a.b"] {
        assert!(matches!(place.open().release(wrong), Err(WorkstationError::ReleaseName(_))), "{wrong}");
    }
}
