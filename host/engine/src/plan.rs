//! Makes a plan: settings, grants, the plugin's queries, and the rules. Must not write to a cluster.

use crate::error::Error;
use crate::plugin::{LoadedPlugin, with_deadline};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use thinkube_cluster::Cluster;
use thinkube_plan::{
    CarriedGrants, Context, Descriptor, Digest, Fact, Fault, GrantPolicy, Grants, Identity, Installed,
    Outcome, Permission, Plan, PluginPlan, Problem, Query, is_dns_label, is_release_name, permits_query,
    validate_plan,
};
use thinkube_sandbox::{Called, Capability, LogLine};
use thinkube_validate::{SettingFault, Unused, check_expressions};

/// How often a plugin is asked before the host gives up. Two are enough for a plugin that asks for what it needs;
/// further ones are for facts that depend on facts.
const MAX_ROUNDS: usize = 8;
/// How many facts one plan may depend on.
const MAX_FACTS: usize = 256;

/// What a plan is made from, beside the plugin.
pub struct PlanRequest<'a> {
    /// The release's name.
    pub release: String,
    /// The settings as the operator gave them.
    pub settings: Value,
    /// What decides which permissions the plugin gets.
    pub grant_policy: GrantPolicy,
    /// The namespace that the release has, if there is one.
    pub namespace: Option<String>,
    /// What answers the plugin's queries.
    pub facts: FactSource<'a>,
    /// Major and minor, such as `1.34`.
    pub kubernetes_version: String,
    /// The installed release, if there is one.
    pub installed: Option<Installed>,
}

/// What answers a plugin's queries about the cluster.
#[derive(Clone, Copy)]
pub enum FactSource<'a> {
    /// These facts only.
    Recorded(&'a [Fact]),
    /// A cluster.
    Cluster(&'a Cluster),
}

/// A plan that keeps all rules and is granted.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The facts that the plan depends on; the same facts give the same plan.
    pub facts: Vec<Fact>,
    /// Settings that were given and have no effect.
    pub unused: Vec<Unused>,
    /// What the plugin logged.
    pub log: Vec<LogLine>,
}

/// Makes a plan: resolves the settings, answers the plugin's queries, and validates the plan that it returns.
///
/// # Errors
/// Everything that can be known without writing to a cluster, each as its own variant of [`Error`].
pub async fn plan(loaded: &LoadedPlugin, request: PlanRequest<'_>) -> Result<Planned, Error> {
    let PlanRequest { release, settings, grant_policy, namespace: recorded_namespace, facts: source, .. } =
        request;
    let (kubernetes_version, installed) = (request.kubernetes_version, request.installed);
    let descriptor = &loaded.descriptor;
    let is_carried = grant_policy.carried().is_some();
    let Resolved { namespace, requested, carried, unused } =
        resolve(loaded, &release, settings, grant_policy).await?;
    // A permission for the release's own namespace must not count in another one, and a new version of a plugin may derive
    // another namespace from the same settings.
    if let Some(from) = recorded_namespace.filter(|from| is_carried && *from != namespace) {
        return Err(Error::Moved { release, from, to: namespace });
    }
    let CarriedGrants { settings, granted, agreed } = carried;

    let mut context =
        Context { release, namespace, settings, facts: Vec::new(), kubernetes_version, installed };
    let mut log = loaded.log.clone();
    let ask = async |context: &Context| loaded.plugin.plan(context).await;
    let plugin_plan = match collect_facts(&mut context, &granted, source, &mut log, ask).await? {
        Ok(plugin_plan) => plugin_plan,
        Err(Problem::InvalidSettings { path, message }) => {
            return Err(Error::Settings(vec![SettingFault { path, message }]));
        }
        Err(problem) => return Err(Error::Problem(problem)),
    };

    let Context { release, namespace, settings, facts, .. } = context;
    let identity = Identity {
        name: descriptor.name.clone(),
        version: descriptor.version.clone(),
        digest: loaded.plugin.digest().clone(),
    };
    let plan = Plan {
        api_version: Plan::API_VERSION.to_owned(),
        kind: "Plan".to_owned(),
        release,
        namespace,
        plugin: identity,
        settings,
        requested,
        granted,
        agreed,
        plugin_plan,
    };
    validate(loaded, &plan.plugin_plan)?;
    let denials = Grants { permissions: plan.granted.clone() }.denials(&plan);
    if !denials.is_empty() {
        return Err(Error::Denied(denials));
    }
    Ok(Planned { digest: plan.digest(), plan, facts, unused, log })
}

/// What is known before the plugin is asked for a plan.
pub(crate) struct Resolved {
    pub(crate) namespace: String,
    /// What the plugin asks for with these settings.
    pub(crate) requested: Vec<Permission>,
    /// The settings, and the permissions that are granted with them.
    pub(crate) carried: CarriedGrants,
    pub(crate) unused: Vec<Unused>,
}

/// Validates the release's name and the settings, and resolves the grants for them.
pub(crate) async fn resolve(
    loaded: &LoadedPlugin,
    release: &str,
    given: Value,
    grant_policy: GrantPolicy,
) -> Result<Resolved, Error> {
    if !is_release_name(release) {
        return Err(Error::ReleaseName(release.to_owned()));
    }
    let unused = loaded.schema.unused(&given);
    let (schema, settings) = (Arc::clone(&loaded.schema), given.clone());
    let settings =
        with_deadline("the settings", move || schema.resolve(settings)).await?.map_err(Error::Settings)?;
    let namespace = namespace(&loaded.descriptor, release, &settings)?;
    let requested = loaded.descriptor.requested_for(&settings);
    let carried = grant_policy.resolve(&loaded.descriptor, &given, settings);
    Ok(Resolved { namespace, requested, carried, unused })
}

/// Asks for a plan, and again with the facts that the plugin needs.
pub(crate) async fn collect_facts(
    context: &mut Context,
    granted: &[Permission],
    source: FactSource<'_>,
    log: &mut Vec<LogLine>,
    ask: impl AsyncFn(&Context) -> Result<Called<Result<Outcome, Problem>>, thinkube_sandbox::Error>,
) -> Result<Result<PluginPlan, Problem>, Error> {
    let mut rounds = 0;
    loop {
        rounds += 1;
        let called = ask(context).await?;
        log.extend(called.log);
        let queries = match called.value {
            Ok(Outcome::Plan(plugin_plan)) => return Ok(Ok(plugin_plan)),
            Ok(Outcome::NeedsFacts(queries)) => queries,
            Err(problem) => return Ok(Err(problem)),
        };
        let known: BTreeSet<&Query> = context.facts.iter().map(|fact| &fact.query).collect();
        let missing: BTreeSet<Query> = queries.into_iter().filter(|query| !known.contains(query)).collect();
        if missing.is_empty() || rounds == MAX_ROUNDS || context.facts.len() + missing.len() > MAX_FACTS {
            return Err(Error::TooManyFacts { rounds, facts: context.facts.len() });
        }
        if let Some(query) = missing.iter().find(|query| !permits_query(granted, &context.namespace, query)) {
            return Err(Error::QueryDenied(query.clone()));
        }
        context.facts.extend(answer(source, missing).await?);
        // The order in which facts were asked for must not change what the plugin sees.
        context.facts.sort_by(|a, b| a.query.cmp(&b.query));
    }
}

fn validate(loaded: &LoadedPlugin, plugin_plan: &PluginPlan) -> Result<(), Error> {
    let secret_inputs: Vec<&str> =
        loaded.descriptor.secret_inputs.iter().map(|input| input.name.as_str()).collect();
    let faults = validate_plan(plugin_plan, &secret_inputs, evaluates(loaded));
    validated(faults, plugin_plan)
}

/// Whether the plugin evaluates checks itself.
pub(crate) fn evaluates(loaded: &LoadedPlugin) -> bool {
    loaded.plugin.capabilities().contains(&Capability::Checks)
}

/// Whether there are no `faults`, and none in the expressions.
pub(crate) fn validated(mut faults: Vec<Fault>, plugin_plan: &PluginPlan) -> Result<(), Error> {
    faults.extend(check_expressions(plugin_plan));
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

async fn answer(source: FactSource<'_>, queries: BTreeSet<Query>) -> Result<Vec<Fact>, Error> {
    let mut facts = Vec::with_capacity(queries.len());
    match source {
        FactSource::Cluster(cluster) => {
            for query in queries {
                let answer = cluster.answer(&query).await?;
                facts.push(Fact { query, answer });
            }
        }
        FactSource::Recorded(recorded) => {
            let mut unknown = Vec::new();
            for query in queries {
                match recorded.iter().find(|fact| fact.query == query) {
                    Some(fact) => facts.push(fact.clone()),
                    None => unknown.push(query),
                }
            }
            if !unknown.is_empty() {
                return Err(Error::FactsNeeded(unknown));
            }
        }
    }
    Ok(facts)
}

fn namespace(descriptor: &Descriptor, release: &str, settings: &Value) -> Result<String, Error> {
    let Some(setting) = &descriptor.namespace_setting else { return Ok(release.to_owned()) };
    let given = settings.get(setting).and_then(Value::as_str);
    let fault =
        |message: String| Error::Settings(vec![SettingFault { path: format!("/{setting}"), message }]);
    let name = given.ok_or_else(|| fault("this setting names the namespace and must be given".to_owned()))?;
    if is_dns_label(name) {
        Ok(name.to_owned())
    } else {
        Err(fault(format!("`{name}` is not a valid name of a namespace: expected a DNS label (RFC 1123)")))
    }
}
