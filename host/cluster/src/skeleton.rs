#![allow(missing_docs, clippy::unused_async, unused_variables)]
use crate::{Action, Error, Events, ObjectChange, Release, SecretInputs};
use std::path::PathBuf;
use std::time::Duration;
use thinkube_plan::{Answer, ObjectRef, Observation, Plan, Probe, Query};

fn unbuilt<T>() -> Result<T, Error> {
    Err(Error::Unsupported { what: "cluster".into(), cannot: "do it".into() })
}

#[derive(Debug, Clone)]
pub struct Connect {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    pub home: String,
}

#[derive(Debug, Clone)]
pub struct Adopt {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    pub adopt: Vec<Adopt>,
}

#[derive(Debug, Clone)]
pub struct UninstallOptions {
    pub delete_data: bool,
    pub timeout: Duration,
}

#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Uninstalled {
    pub deleted: Vec<ObjectRef>,
    pub kept: Vec<(ObjectRef, String)>,
}

#[derive(Clone)]
pub struct Cluster;

pub struct Comparison;

impl Comparison {
    pub fn up_to_date(&self) -> bool {
        false
    }
    pub fn changes(&self) -> Vec<(ObjectRef, Action)> {
        vec![]
    }
    pub fn not_owned(&self) -> &[(ObjectRef, String)] {
        &[]
    }
    /// Stages that the last apply skipped because their `done_when` held: the comparison takes that for granted.
    pub fn skipped_stages(&self) -> Vec<&str> {
        vec![]
    }
    /// 0 if the release is not installed.
    pub fn revision(&self) -> u32 {
        0
    }
}

impl Cluster {
    pub async fn connect(options: &Connect) -> Result<Self, Error> {
        unbuilt()
    }
    pub fn server(&self) -> &str {
        ""
    }
    pub fn version(&self) -> &str {
        ""
    }
    pub async fn answer(&self, query: &Query) -> Result<Answer, Error> {
        unbuilt()
    }
    pub async fn observe(&self, probe: &Probe) -> Result<Observation, Error> {
        unbuilt()
    }
    pub async fn release(&self, name: &str) -> Result<Option<Release>, Error> {
        unbuilt()
    }
    pub async fn releases(&self) -> Result<Vec<Release>, Error> {
        unbuilt()
    }
    pub async fn dry_run(&self, plan: &Plan, secrets: &SecretInputs) -> Result<Vec<ObjectChange>, Error> {
        unbuilt()
    }
    pub async fn compare(&self, plan: &Plan, secrets: &SecretInputs) -> Result<Comparison, Error> {
        unbuilt()
    }
    pub async fn begin<'a>(
        &'a self,
        plan: &'a Plan,
        secrets: &'a SecretInputs,
        comparison: Comparison,
        options: &ApplyOptions,
        events: Events<'a>,
    ) -> Result<Apply<'a>, Error> {
        unbuilt()
    }
    pub async fn uninstall(
        &self,
        name: &str,
        options: &UninstallOptions,
        events: Events<'_>,
    ) -> Result<Uninstalled, Error> {
        unbuilt()
    }
}

pub struct Apply<'a>(std::marker::PhantomData<&'a ()>);

impl Apply<'_> {
    pub async fn stage(&mut self, index: usize) -> Result<(), Error> {
        unbuilt()
    }
    pub async fn wait(&mut self, index: usize, timeout: Duration) -> Result<(), Error> {
        unbuilt()
    }
    pub async fn skip(&mut self, index: usize) {}
    pub async fn prune(&mut self) -> Result<(), Error> {
        unbuilt()
    }
    pub async fn finish(self) -> Result<Release, Error> {
        unbuilt()
    }
    /// Recorded as failed.
    pub async fn abandon(self, why: &str) {}
    /// Recorded as interrupted.
    pub async fn interrupt(self) {}
}
