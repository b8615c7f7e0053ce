//! `cargo xtask bench`: measures the host beside bare wasmtime, or the test cluster.

use crate::command::{cargo, run, say};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use thinkube_test_cluster::{Addon, Cluster, Node, Options, down, status};

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure the test cluster: time of up, reset and down, and memory
    #[arg(long)]
    cluster: bool,
}

pub(crate) fn bench(args: &Args) -> anyhow::Result<ExitCode> {
    if args.cluster {
        return cluster();
    }
    say("building the host and the plugin as they are shipped");
    run(&mut cargo(["build", "--release", "--package", "thinkube-host"]))?;
    run(&mut cargo(["bench", "--package", "thinkube-bench"]))?;
    Ok(ExitCode::SUCCESS)
}

/// Measurements of each figure; the median is shown.
const TIMES: usize = 3;

fn cluster() -> anyhow::Result<ExitCode> {
    let kinds = [
        ("control plane alone", Node::Never, vec![]),
        ("with a node", Node::Required, vec![]),
        ("with registry and ingress", Node::Required, vec![Addon::Registry, Addon::Ingress]),
        ("with everything", Node::Required, Addon::ALL.to_vec()),
    ];
    let mut table = String::from("| cluster | up | reset | down | memory |\n|---|---|---|---|---|\n");
    for (what, node, parts) in kinds {
        let options = Options { name: "bench".to_owned(), node, with: BTreeSet::from_iter(parts) };
        say(what);
        // Building and the first read from disk are not part of the figure.
        Cluster::up(&options, &mut |_| ())?;
        down(&options.name, &mut |_| ())?;
        let (mut up, mut reset, mut gone, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let (time, cluster) = timed(|| Cluster::up(&options, &mut |_| ()))?;
            up.push(time);
            memory.push(status(&options.name)?.memory());
            reset.push(timed(|| cluster.reset(&mut |_| ()))?.0);
            gone.push(timed(|| down(&options.name, &mut |_| ()))?.0);
        }
        table.push_str(&format!(
            "| {what} | {:.1} s | {:.1} s | {:.1} s | {} MiB |\n",
            middle(up).as_secs_f32(),
            middle(reset).as_secs_f32(),
            middle(gone).as_secs_f32(),
            middle(memory) / (1024 * 1024),
        ));
    }
    std::io::stdout().lock().write_all(table.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(Duration, T), E> {
    let begin = Instant::now();
    let done = work()?;
    Ok((begin.elapsed(), done))
}

fn middle<T: Ord + Copy>(mut figures: Vec<T>) -> T {
    figures.sort();
    figures[figures.len() / 2]
}
