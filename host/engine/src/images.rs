//! The images that a plan wants built, from the first look to the references that objects are bound to.

use crate::{Error, Event, Events};
use std::collections::BTreeMap;
use thinkube_cluster::{Apply, BuiltImage, Cluster, Release};
use thinkube_effects::{
    HttpOptions, Image, ImageAction, ImageOptions, ImageOutcome, ImageState, Images, ObservedImage,
};
use thinkube_plan::{
    Action, Change, Digest, ImageBuild, ImageSource, ImageStep, Output, Outputs, Plan, SecretText, Stage,
    Step, Subject,
};

/// A step's source and registry as they are, and the login that showed it.
struct Looked {
    seen: ObservedImage,
    login: Option<SecretText>,
}

/// The images of a plan.
pub(crate) struct ImageBuilds<'a> {
    images: Images,
    cluster: &'a Cluster,
    plan: &'a Plan,
    /// By the name of the step. None: its login is made by the plan itself, and is not there yet.
    looked: BTreeMap<&'a str, Option<Looked>>,
}

impl<'a> ImageBuilds<'a> {
    /// Looks at every image and changes nothing.
    pub(crate) async fn look(
        cluster: &'a Cluster,
        plan: &'a Plan,
        http: &HttpOptions,
    ) -> Result<Self, Error> {
        let mut this = Self { images: images(plan, http), cluster, plan, looked: BTreeMap::new() };
        for step in plan.plugin_plan.images() {
            let looked = match this.look_at(step).await {
                Err(Error::NoLogin { secret, .. }) if plan.plugin_plan.makes(&secret) => None,
                looked => Some(looked?),
            };
            this.looked.insert(&step.name, looked);
        }
        Ok(this)
    }

    async fn look_at(&self, step: &ImageStep) -> Result<Looked, Error> {
        let login = login(self.cluster, step).await?;
        let seen = self.images.observe(step, login.as_ref()).await?;
        Ok(Looked { seen, login })
    }

    /// Whether this machine has what builds the images that are to be built, and whether they are those that the
    /// operator was shown: to be known before anything is changed.
    pub(crate) fn ready(&self, shown: &[Change]) -> Result<(), Error> {
        let changes = self.changes();
        if let Some((step, shown, now)) = moved(shown, &changes) {
            return Err(Error::ImageMoved { step, shown, now });
        }
        // A stage that may be skipped says what it lacks when it is not.
        let stages = self.plan.plugin_plan.stages.iter().filter(|stage| stage.skip_if.is_empty());
        let wanted: Vec<&str> = stages.flat_map(images_of).map(|step| step.name.as_str()).collect();
        let is_wanted = |image: &ImageBuild| wanted.contains(&image.name.as_str());
        let builds = changes
            .iter()
            .any(|change| change.action == Action::Create && change.image().is_some_and(is_wanted));
        if builds { Ok(thinkube_effects::require_image_builder()?) } else { Ok(()) }
    }

    /// What is known of the images before anything is built.
    pub(crate) fn outputs(&self) -> Outputs {
        let mut outputs = Outputs::default();
        for (step, looked) in &self.looked {
            if let Some(image) = looked.as_ref().and_then(|looked| there(&looked.seen)) {
                outputs.extend(image.outputs(step));
            }
        }
        outputs
    }

    /// The same, and what the release runs of images that this plan does not build: an operation may bind to them.
    pub(crate) fn outputs_beside(&self, recorded: &[BuiltImage]) -> Outputs {
        let mut outputs = Outputs::default();
        for image in
            recorded.iter().filter(|image| self.plan.plugin_plan.images().all(|step| step.name != image.name))
        {
            let digest = image.reference.split_once('@').map(|(_, digest)| digest).unwrap_or_default();
            for (output, value) in [("reference", image.reference.as_str()), ("digest", digest)] {
                outputs.insert(&image.name, output, Output::Open(value.to_owned()));
            }
        }
        outputs.extend(self.outputs());
        outputs
    }

    /// Whether the registry has every image, and the record says so. Those of stages that are done already don't count.
    pub(crate) fn settled(&self, recorded: &[BuiltImage], skipped_stages: &[&str]) -> bool {
        let stages = self.plan.plugin_plan.stages.iter();
        let wanted =
            stages.filter(|stage| !skipped_stages.contains(&stage.name.as_str())).flat_map(images_of);
        wanted.into_iter().all(|step| match self.looked.get(step.name.as_str()) {
            Some(Some(Looked {
                seen: ObservedImage { commit, state: ImageState::Current(image) }, ..
            })) => recorded.contains(&record(step, commit.id(), image)),
            _ => false,
        })
    }

    /// What would be done, in the plan's order.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let change = |step: &ImageStep| match self.looked.get(step.name.as_str()) {
            Some(Some(Looked { seen, .. })) => {
                let (action, note) = match &seen.state {
                    ImageState::Absent => (Action::Create, Some("the registry has none of this commit")),
                    ImageState::Untagged(_) => {
                        (Action::Update, Some("the registry has it; its tag is moved"))
                    }
                    ImageState::Current(_) => (Action::Unchanged, None),
                };
                changed(step, Some(seen.commit.id()), there(seen).map(Image::reference), action, note)
            }
            _ => changed(step, None, None, Action::Create, Some("not compared: this plan makes its login")),
        };
        self.plan.plugin_plan.images().map(change).collect()
    }

    /// Builds and pushes the images of a stage that the registry lacks, and answers what all of them yield.
    pub(crate) async fn stage(
        &mut self,
        stage: &Stage,
        run: &mut Apply<'_>,
        events: Events<'_>,
    ) -> Result<Outputs, Error> {
        let mut outputs = Outputs::default();
        for step in images_of(stage) {
            let looked = match self.looked.remove(step.name.as_str()).flatten() {
                Some(looked) => looked,
                None => self.look_at(step).await?,
            };
            let Looked { seen, login } = looked;
            let pass_on = |event| events(Event::Building(event));
            let ImageOutcome { image, action } =
                self.images.ensure(step, &seen, login.as_ref(), &pass_on).await?;
            let action = match action {
                ImageAction::Built => Action::Create,
                ImageAction::Tagged => Action::Update,
                ImageAction::Unchanged => Action::Unchanged,
            };
            outputs.extend(image.outputs(&step.name));
            run.built(record(step, seen.commit.id(), &image)).await?;
            events(Event::Changed(changed(
                step,
                Some(seen.commit.id()),
                Some(image.reference()),
                action,
                None,
            )));
        }
        Ok(outputs)
    }
}

/// What becomes of the images of a release that goes: they stay, unless `delete` says otherwise. Those that other releases
/// run stay anyway.
pub(crate) async fn leave(
    cluster: &Cluster,
    release: &Release,
    http: &HttpOptions,
    delete: bool,
) -> Result<Vec<Change>, Error> {
    let plan = &release.plan;
    let built = plan.plugin_plan.images().filter_map(|step| {
        let image = release.images.iter().find(|image| image.name == step.name)?;
        let (name, digest) = image.reference.split_once('@')?;
        // The plan of a revision that never came to an end may push elsewhere.
        let here = step.destination.rsplit_once(':').is_some_and(|(repository, _)| repository == name);
        Some((step, image, digest.parse::<Digest>().ok().filter(|_| here)))
    });
    let others = if delete { cluster.releases().await? } else { Vec::new() };
    let mut changes = Vec::new();
    for (step, built, digest) in built {
        let runs = |other: &&Release| {
            other.name != release.name && other.images.iter().any(|image| image.reference == built.reference)
        };
        let (action, note) = match (digest, others.iter().find(runs)) {
            (Some(digest), None) if delete => {
                let login = login_to_delete(cluster, plan, step, &built.reference).await?;
                match images(plan, http).remove(step, &digest, login.as_ref()).await? {
                    true => (Action::Delete, None),
                    false => (Action::Unchanged, Some("it was not there".to_owned())),
                }
            }
            (_, Some(other)) => (Action::Keep, Some(format!("release {} runs it too", other.name))),
            _ => (Action::Keep, None),
        };
        let reference = Some(built.reference.clone());
        changes.push(changed(step, Some(&built.commit), reference, action, note.as_deref()));
    }
    Ok(changes)
}

fn images(plan: &Plan, http: &HttpOptions) -> Images {
    Images::new(ImageOptions { granted: plan.granted.clone(), http: http.clone(), ..ImageOptions::default() })
}

/// Who pushes; None where the step names nobody.
async fn login(cluster: &Cluster, step: &ImageStep) -> Result<Option<SecretText>, Error> {
    let Some(secret) = &step.push_credentials else { return Ok(None) };
    match cluster.docker_config(secret).await? {
        None => Err(Error::NoLogin { step: step.name.clone(), secret: secret.clone() }),
        login => Ok(login),
    }
}

/// Who deletes. Where the release's own copy of the login went with its namespace, the original is still there.
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

/// An image whose source has moved on since it was shown: its name, the commit of then, the commit of now.
fn moved(shown: &[Change], now: &[Change]) -> Option<(String, String, String)> {
    let now = |name: &str| now.iter().filter_map(Change::image).find(|now| now.name == name);
    shown.iter().filter_map(Change::image).find_map(|shown| {
        let now = now(&shown.name)?.commit.clone()?;
        let commit = shown.commit.clone().filter(|commit| *commit != now)?;
        Some((shown.name.clone(), commit, now))
    })
}

fn there(seen: &ObservedImage) -> Option<&Image> {
    match &seen.state {
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

fn changed(
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
    fn a_branch_that_moves_between_the_question_and_the_answer_is_noticed() {
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
        assert_eq!(moved(&[], &now), None);
        assert_eq!(moved(&now, &now), None);
        // It could not be looked at when it was shown, and the note said so.
        assert_eq!(moved(&[change("a", None)], &now), None);
        let shown = [change("a", Some("1")), change("b", Some("1"))];
        assert_eq!(moved(&shown, &now), Some(("b".to_owned(), "1".to_owned(), "2".to_owned())));
    }
}
