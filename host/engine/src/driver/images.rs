//! Images that are built from source and pushed to a registry.
//!
//! An uninstall deletes only images on record, so an image is recorded as soon as the registry has it.

use super::step::{InCluster, Observed, Purpose, Recorded, StageRef, StepDriver, Task};
use crate::error::Error;
use crate::event::Event;
use crate::request::UninstallRequest;
use std::collections::BTreeMap;
use thinkube_cluster::{Apply, BuiltImage, Cluster, Release, Uninstall};
use thinkube_effects::{
    HttpOptions, Image, ImageAction, ImageOptions, ImageOutcome, ImageState, Images as Builder,
    ObservedImage, require_image_builder,
};
use thinkube_plan::{
    Action, Change, Digest, ImageBuild, ImageSource, ImageStep, Output, Outputs, Plan, SecretText, Stage,
    Step, Subject, Values,
};

pub(crate) struct Images<'a> {
    task: Task<'a>,
    builder: Builder,
    /// By the name of the step. None: the plan itself creates the registry login, and it does not exist yet.
    observed: BTreeMap<&'a str, Option<ObservedStep>>,
}

/// The source and the registry of a step, and the login that could read them.
struct ObservedStep {
    image: ObservedImage,
    login: Option<SecretText>,
}

impl<'a> Images<'a> {
    pub(crate) fn new(task: Task<'a>) -> Self {
        Self { task, builder: builder(task.plan, task.session.http), observed: BTreeMap::new() }
    }

    async fn observe_step(&self, step: &ImageStep) -> Result<ObservedStep, Error> {
        let login = login(self.task.session.cluster, step).await?;
        let image = self.builder.observe(step, login.as_ref()).await?;
        Ok(ObservedStep { image, login })
    }

    /// Fails if a source changed after the preview that the operator confirmed, or if this machine cannot build.
    fn check_prerequisites(&self, shown: &[Change]) -> Result<(), Error> {
        let changes = self.planned();
        if let Some((step, shown, now)) = source_changed(shown, &changes) {
            return Err(Error::ImageMoved { step, shown, now });
        }
        // A stage with `skip_if` may build nothing.
        let stages = self.task.plan.plugin_plan.stages.iter().filter(|stage| stage.skip_if.is_empty());
        let certain: Vec<&str> = stages.flat_map(images_of).map(|step| step.name.as_str()).collect();
        let is_certain = |image: &ImageBuild| certain.contains(&image.name.as_str());
        let builds = changes
            .iter()
            .any(|change| change.action == Action::Create && change.image().is_some_and(is_certain));
        if builds { Ok(require_image_builder()?) } else { Ok(()) }
    }

    /// What the images of the plan yield already, and those that the release runs: an operation may refer to both.
    fn outputs(&self) -> Outputs {
        let mut outputs = Outputs::default();
        let planned =
            |image: &BuiltImage| self.task.plan.plugin_plan.images().any(|step| step.name == image.name);
        for image in self.task.running_images.iter().filter(|image| !planned(image)) {
            let digest = image.reference.split_once('@').map(|(_, digest)| digest).unwrap_or_default();
            for (output, value) in [("reference", image.reference.as_str()), ("digest", digest)] {
                outputs.insert(&image.name, output, Output::Open(value.to_owned()));
            }
        }
        for (step, observed) in &self.observed {
            if let Some(image) = observed.as_ref().and_then(|observed| in_registry(&observed.image)) {
                outputs.extend(image.outputs(step));
            }
        }
        outputs
    }

    /// What an apply would do, in the plan's order.
    fn planned(&self) -> Vec<Change> {
        let planned = |step: &ImageStep| match self.observed.get(step.name.as_str()) {
            Some(Some(ObservedStep { image, .. })) => {
                let (action, note) = match &image.state {
                    ImageState::Absent => (Action::Create, Some("the registry has none of this commit")),
                    ImageState::Untagged(_) => {
                        (Action::Update, Some("the registry has it; its tag is moved"))
                    }
                    ImageState::Current(_) => (Action::Unchanged, None),
                };
                let reference = in_registry(image).map(Image::reference);
                change(step, Some(image.commit.id()), reference, action, note)
            }
            _ => change(step, None, None, Action::Create, Some("not compared: this plan makes its login")),
        };
        self.task.plan.plugin_plan.images().map(planned).collect()
    }
}

#[async_trait::async_trait(?Send)]
impl<'c> StepDriver<InCluster<'c>> for Images<'_> {
    async fn observe(&mut self, seen: &mut Observed) -> Result<(), Error> {
        let plan = &self.task.plan.plugin_plan;
        for step in plan.images() {
            let observed = match self.observe_step(step).await {
                Err(Error::NoLogin { secret, .. }) if plan.makes(&secret) => None,
                observed => Some(observed?),
            };
            self.observed.insert(&step.name, observed);
        }
        if let Purpose::Apply(request) | Purpose::Operation(request) = self.task.purpose {
            self.check_prerequisites(&request.shown)?;
        }
        seen.values.outputs.extend(self.outputs());
        Ok(())
    }

    fn changes(&self, _recorded: &Recorded) -> Vec<Change> {
        self.planned()
    }

    /// Images of skipped stages do not count.
    fn is_up_to_date(&self, seen: &Observed) -> bool {
        let Recorded { images, skipped_stages, .. } = &seen.recorded;
        let stages = self.task.plan.plugin_plan.stages.iter();
        let mut wanted = stages.filter(|stage| !skipped_stages.contains(&stage.name)).flat_map(images_of);
        wanted.all(|step| match self.observed.get(step.name.as_str()) {
            Some(Some(ObservedStep { image: ObservedImage { commit, state }, .. })) => match state {
                ImageState::Current(image) => images.contains(&record(step, commit.id(), image)),
                ImageState::Absent | ImageState::Untagged(_) => false,
            },
            _ => false,
        })
    }

    async fn apply(
        &mut self,
        stage: StageRef<'_>,
        values: &mut Values,
        run: &mut Apply<'c>,
    ) -> Result<(), Error> {
        let events = self.task.session.events;
        for step in images_of(stage.stage) {
            let observed = match self.observed.remove(step.name.as_str()).flatten() {
                Some(observed) => observed,
                None => self.observe_step(step).await?,
            };
            let ObservedStep { image: observed, login } = observed;
            let progress = |event| events(Event::Building(event));
            let ImageOutcome { image, action } =
                self.builder.ensure(step, &observed, login.as_ref(), &progress).await?;
            let action = match action {
                ImageAction::Built => Action::Create,
                ImageAction::Tagged => Action::Update,
                ImageAction::Unchanged => Action::Unchanged,
            };
            let commit = observed.commit.id();
            values.outputs.extend(image.outputs(&step.name));
            run.record_image(record(step, commit, &image)).await?;
            events(Event::Changed(change(step, Some(commit), Some(image.reference()), action, None)));
        }
        Ok(())
    }

    /// Images stay in their registry unless the request deletes them, and also if another release runs them.
    async fn delete(
        &mut self,
        request: &UninstallRequest,
        uninstall: &mut Uninstall<'c>,
    ) -> Result<Vec<Change>, Error> {
        if !uninstall.has_images() {
            return Ok(Vec::new());
        }
        let session = self.task.session;
        let release = uninstall.release().await?;
        let others = if request.delete_images { session.cluster.releases().await? } else { Vec::new() };
        let mut changes = Vec::new();
        for recorded in recorded_images(&release) {
            let RecordedImage { step, built, digest } = recorded;
            let runs_it = |other: &&Release| {
                other.name != release.name
                    && other.images.iter().any(|image| image.reference == built.reference)
            };
            let (action, note) = match (digest, others.iter().find(runs_it)) {
                (Some(digest), None) if request.delete_images => {
                    let login =
                        login_to_delete(session.cluster, &release.plan, step, &built.reference).await?;
                    match builder(&release.plan, session.http).remove(step, &digest, login.as_ref()).await? {
                        true => (Action::Delete, None),
                        false => (Action::Unchanged, Some("the registry did not have it".to_owned())),
                    }
                }
                (_, Some(other)) => (Action::Keep, Some(format!("release {} runs it too", other.name))),
                _ => (Action::Keep, None),
            };
            let reference = Some(built.reference.clone());
            changes.push(change(step, Some(&built.commit), reference, action, note.as_deref()));
        }
        let deleted = |change: &&Change| matches!(change.action, Action::Delete | Action::Unchanged);
        let deleted = changes.iter().filter(deleted).filter_map(Change::image);
        uninstall.drop_images(&deleted.map(|image| image.name.clone()).collect::<Vec<_>>()).await?;
        Ok(changes)
    }
}

/// An image on record that the plan's step has built.
struct RecordedImage<'a> {
    step: &'a ImageStep,
    built: &'a BuiltImage,
    /// None where the step no longer pushes to the recorded repository: an interrupted apply may have moved it.
    digest: Option<Digest>,
}

fn recorded_images(release: &Release) -> impl Iterator<Item = RecordedImage<'_>> {
    release.plan.plugin_plan.images().filter_map(|step| {
        let built = release.images.iter().find(|image| image.name == step.name)?;
        let (name, digest) = built.reference.split_once('@')?;
        let pushes_there =
            step.destination.rsplit_once(':').is_some_and(|(repository, _)| repository == name);
        let digest = digest.parse::<Digest>().ok().filter(|_| pushes_there);
        Some(RecordedImage { step, built, digest })
    })
}

fn builder(plan: &Plan, http: &HttpOptions) -> Builder {
    Builder::new(ImageOptions {
        granted: plan.granted.clone(),
        http: http.clone(),
        ..ImageOptions::default()
    })
}

/// The login to push with; None where the step names no Secret.
async fn login(cluster: &Cluster, step: &ImageStep) -> Result<Option<SecretText>, Error> {
    let Some(secret) = &step.push_credentials else { return Ok(None) };
    match cluster.docker_config(secret).await? {
        None => Err(Error::NoLogin { step: step.name.clone(), secret: secret.clone() }),
        login => Ok(login),
    }
}

/// The login to delete with. Where the release's own copy is already deleted, the Secret that it mirrored is used.
async fn login_to_delete(
    cluster: &Cluster,
    plan: &Plan,
    step: &ImageStep,
    reference: &str,
) -> Result<Option<SecretText>, Error> {
    let (step, secret) = match login(cluster, step).await {
        Err(Error::NoLogin { step, secret }) => (step, secret),
        login => return login,
    };
    if let Some(original) = plan.plugin_plan.mirrored(&secret)
        && let Some(login) = cluster.docker_config(original).await?
    {
        return Ok(Some(login));
    }
    Err(Error::NoLoginToDelete { step, secret: Box::new(secret), reference: reference.to_owned() })
}

fn images_of(stage: &Stage) -> impl Iterator<Item = &ImageStep> {
    stage.steps.iter().filter_map(|step| match step {
        Step::Image(step) => Some(step),
        _ => None,
    })
}

/// The first image whose source changed after the preview, as (step, previewed commit, current commit).
fn source_changed(shown: &[Change], now: &[Change]) -> Option<(String, String, String)> {
    let now = |name: &str| now.iter().filter_map(Change::image).find(|now| now.name == name);
    shown.iter().filter_map(Change::image).find_map(|shown| {
        let now = now(&shown.name)?.commit.clone()?;
        let commit = shown.commit.clone().filter(|commit| *commit != now)?;
        Some((shown.name.clone(), commit, now))
    })
}

fn in_registry(observed: &ObservedImage) -> Option<&Image> {
    match &observed.state {
        ImageState::Absent => None,
        ImageState::Untagged(image) | ImageState::Current(image) => Some(image),
    }
}

fn record(step: &ImageStep, commit: &str, image: &Image) -> BuiltImage {
    BuiltImage {
        name: step.name.clone(),
        source: step.source.location().to_owned(),
        commit: commit.to_owned(),
        reference: image.reference(),
    }
}

fn change(
    step: &ImageStep,
    commit: Option<&str>,
    reference: Option<String>,
    action: Action,
    note: Option<&str>,
) -> Change {
    let subject = Subject::Image(ImageBuild {
        name: step.name.clone(),
        source: step.source.location().to_owned(),
        revision: match &step.source {
            ImageSource::Git(git) => Some(git.revision.clone()),
            ImageSource::Folder(_) => None,
        },
        commit: commit.map(str::to_owned),
        destination: step.destination.clone(),
        reference,
    });
    Change { note: note.map(str::to_owned), ..Change::new(subject, None, action) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_changes_after_the_preview_is_noticed() {
        let change = |name: &str, commit: Option<&str>| {
            let image = ImageBuild {
                name: name.to_owned(),
                source: "https://git.example.org/web".to_owned(),
                revision: Some("main".to_owned()),
                commit: commit.map(str::to_owned),
                destination: "registry.example.org/web:1".to_owned(),
                reference: None,
            };
            Change::new(Subject::Image(image), None, Action::Create)
        };
        let now = [change("a", Some("1")), change("b", Some("2"))];
        assert_eq!(source_changed(&[], &now), None);
        assert_eq!(source_changed(&now, &now), None);
        // The preview could not observe this one, and its note has the reason.
        assert_eq!(source_changed(&[change("a", None)], &now), None);
        let shown = [change("a", Some("1")), change("b", Some("1"))];
        assert_eq!(source_changed(&shown, &now), Some(("b".to_owned(), "1".to_owned(), "2".to_owned())));
    }
}
