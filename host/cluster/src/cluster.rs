//! The public front of the crate: what a caller can ask of a cluster, each delegated to its room.

use crate::api::client::Client;
use crate::api::connect::Connect;
use crate::apply::begin;
use crate::apply::operation::{self, OperationPlans};
use crate::apply::options::ApplyOptions;
use crate::apply::run::Apply;
use crate::delete::options::UninstallOptions;
use crate::delete::uninstall::{self, Uninstall};
use crate::diff::compare;
use crate::diff::dry_run;
use crate::diff::release_diff::ReleaseDiff;
use crate::error::Error;
use crate::pod_files::diff::{compare_pod_files, diff_pod_files};
use crate::probe::observe;
use crate::progress::ProgressSink;
use crate::release::record::Release;
use crate::release::store;
use crate::secrets::drift::{self, SecretCopy};
use crate::secrets::{input, registry_credentials};
use thinkube_plan::{
    Answer, Change, ObjectRef, Observation, Plan, Probe, Query, SecretKey, SecretText, Values,
};

/// A connection to a cluster. Clones share it, with its limiter.
#[derive(Clone)]
pub struct Cluster(Client);

impl Cluster {
    /// Reads the kubeconfig and asks the server for its version.
    ///
    /// # Errors
    /// [`ApiError::NoKubeconfig`](crate::ApiError::NoKubeconfig), [`ApiError::Kubeconfig`](crate::ApiError::Kubeconfig),
    /// [`ApiError::Unreachable`](crate::ApiError::Unreachable) or
    /// [`ApiError::Unauthorized`](crate::ApiError::Unauthorized).
    pub async fn connect(options: &Connect) -> Result<Self, Error> {
        Ok(Self(Client::connect(options).await?))
    }

    /// The API server's URL.
    pub fn server(&self) -> &str {
        self.0.server()
    }

    /// The server's major and minor version: `1.34`.
    pub fn version(&self) -> &str {
        self.0.version()
    }

    /// The namespace of the release records.
    pub fn state_namespace(&self) -> &str {
        self.0.state_namespace()
    }

    /// The value of the label `applyset.kubernetes.io/part-of` on a release's objects.
    pub fn applyset_id(&self, release: &str) -> String {
        store::applyset_id(&self.0, release)
    }

    /// The release of that name with its plan. None: it is not installed.
    ///
    /// # Errors
    /// [`ReleaseError::Corrupt`](crate::ReleaseError::Corrupt), or why the cluster could not be read.
    pub async fn release(&self, name: &str) -> Result<Option<Release>, Error> {
        store::release(&self.0, name).await
    }

    /// The releases of this host, by name. One whose record cannot be read is left out, with a warning in the log:
    /// [`Cluster::release`] returns its error.
    ///
    /// # Errors
    /// Why the cluster could not be read.
    pub async fn releases(&self) -> Result<Vec<Release>, Error> {
        store::releases(&self.0).await
    }

    /// What an apply of `plan` would write. Nothing is written: one GET for the record, one LIST for each kind and namespace,
    /// and one read for each object that has not the release's label.
    ///
    /// # Errors
    /// [`DiffError`](crate::DiffError), or why the cluster could not be read.
    pub async fn compare(&self, plan: &Plan, values: &Values) -> Result<ReleaseDiff, Error> {
        let mut diff = compare::compare_objects(&self.0, plan, values).await?;
        diff.pod_files = diff_pod_files(&self.0, plan, diff.stored_pod_files()).await?;
        Ok(diff)
    }

    /// The same without the files in pods, which an operation does not change.
    ///
    /// # Errors
    /// As [`Cluster::compare`].
    pub async fn compare_objects(&self, plan: &Plan, values: &Values) -> Result<ReleaseDiff, Error> {
        compare::compare_objects(&self.0, plan, values).await
    }

    /// What an apply of `plan` would change, field by field, as the server's dry run answers. Nothing is written.
    ///
    /// # Errors
    /// As [`Cluster::compare`], and all that the server refuses in the plan.
    pub async fn dry_run(&self, plan: &Plan, values: &Values) -> Result<Vec<Change>, Error> {
        dry_run::dry_run(&self.0, plan, values).await
    }

    /// What an apply of `plan` would write into running pods and remove from them. Nothing is written.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`](crate::ApiError::Forbidden), [`DiffError::Invalid`](crate::DiffError::Invalid), or why the
    /// cluster could not be read.
    pub async fn pod_files(&self, plan: &Plan) -> Result<Vec<Change>, Error> {
        compare_pod_files(&self.0, plan).await
    }

    /// Begins an apply: acquires the release's Lease and writes its record, with every object that may exist from now on.
    ///
    /// # Errors
    /// Before anything is written [`DiffError::NotOwned`](crate::DiffError::NotOwned),
    /// [`ApiError::Forbidden`](crate::ApiError::Forbidden) or [`ReleaseError::Busy`](crate::ReleaseError::Busy);
    /// [`ApiError::LostRace`](crate::ApiError::LostRace) if the release has changed since the comparison.
    pub async fn begin<'a>(
        &'a self,
        plan: &'a Plan,
        values: &Values,
        diff: ReleaseDiff,
        options: &ApplyOptions,
        progress: ProgressSink<'a>,
    ) -> Result<Apply<'a>, Error> {
        begin::begin(&self.0, plan, values, diff, options, progress).await
    }

    /// Begins an operation: acquires the release's Lease and writes its record. Its stages run as those of an apply.
    ///
    /// # Errors
    /// As [`Cluster::begin`], and [`ReleaseError::NoRelease`](crate::ReleaseError::NoRelease) or
    /// [`ReleaseError::Unfinished`](crate::ReleaseError::Unfinished).
    pub async fn begin_operation<'a>(
        &'a self,
        operation: OperationPlans<'a>,
        values: &Values,
        diff: ReleaseDiff,
        options: &ApplyOptions,
        progress: ProgressSink<'a>,
    ) -> Result<Apply<'a>, Error> {
        operation::begin_operation(&self.0, operation, values, diff, options, progress).await
    }

    /// Begins an uninstall: acquires the release's Lease and records that the release is being uninstalled. None: no record
    /// exists, and the leftovers of an interrupted apply or uninstall were deleted.
    ///
    /// # Errors
    /// [`ReleaseError::NoRelease`](crate::ReleaseError::NoRelease), [`ReleaseError::Busy`](crate::ReleaseError::Busy) or
    /// [`ApiError::Forbidden`](crate::ApiError::Forbidden), before anything is written.
    pub async fn begin_uninstall<'a>(
        &'a self,
        name: &str,
        options: &'a UninstallOptions,
        progress: ProgressSink<'a>,
    ) -> Result<Option<Uninstall<'a>>, Error> {
        uninstall::begin(&self.0, name, options, progress).await
    }

    /// Answers a plugin's query. A Secret has no values.
    ///
    /// # Errors
    /// Why the cluster could not be read.
    pub async fn answer(&self, query: &Query) -> Result<Answer, Error> {
        observe::answer(&self.0, query).await
    }

    /// Carries out a check once. An object that is absent or not ready, and a server that answers with an error, are
    /// observations.
    ///
    /// # Errors
    /// Those of [`supported`](crate::supported), or why the cluster could not be read.
    pub async fn observe(&self, probe: &Probe) -> Result<Observation, Error> {
        observe::observe(&self.0, probe).await
    }

    /// Each Secret, or key of one, that `plan` copies from another Secret, and whether the copy is current. No value is
    /// returned.
    pub async fn secret_copies(&self, plan: &Plan) -> Vec<SecretCopy> {
        drift::secret_copies(&self.0, plan).await
    }

    /// The value of one key of a Secret. None: the Secret or the key does not exist, or the value is not UTF-8.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`](crate::ApiError::Forbidden), or why the cluster could not be read.
    pub async fn secret_text(&self, key: &SecretKey) -> Result<Option<SecretText>, Error> {
        input::secret_text(&self.0, key).await
    }

    /// The `.dockerconfigjson` of a Secret. None: the Secret does not exist, or has another type.
    ///
    /// # Errors
    /// Why the Secret could not be read.
    pub async fn docker_config(&self, secret: &ObjectRef) -> Result<Option<SecretText>, Error> {
        registry_credentials::docker_config(&self.0, secret).await
    }
}
