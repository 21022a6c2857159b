//! `weir guest inspect`: what a component imports, exports and wants. Of one that is no guest, it
//! says what is missing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::signed::Signed;
use super::{
    BUILT_IN_PREFIX, Failure, Global, SlotArguments, grouped, logs, module_at, printable, sandbox,
};
use crate::authoring::TrialError;
use crate::digest::Digest;
use crate::sandbox::{
    GuestOrder, Interfaces, Module, PrepareError, Sandbox, Shape, ShapeError, Wants, World,
};
use crate::trust::Trust;

/// Interfaces of the contract, as a component names them.
const CONTRACT: &str = "weir:collector/";

/// What every guest gets without being granted it.
const UNGRANTED: &str = "batches";

#[derive(Args)]
pub(super) struct InspectArguments {
    /// The component, or `builtin:NAME`.
    file: PathBuf,
    #[command(flatten)]
    slot: SlotArguments,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What there is to say of a component.
#[derive(Serialize)]
struct Inspection {
    file: String,
    bytes: usize,
    sha256: Digest,
    signature: Signed,
    imports: Vec<String>,
    exports: Vec<String>,
    world: Option<&'static str>,
    snapshots: bool,
    grants: Vec<&'static str>,
    name: Option<String>,
    version: Option<String>,
    wants: Option<WantsText>,
    /// Why it is no guest, or why it doesn't say what it wants.
    problem: Option<String>,
}

#[derive(Serialize)]
struct WantsText {
    kinds: Vec<KindText>,
    patterns: Vec<String>,
    rules: Vec<RuleText>,
    counters: Vec<String>,
}

#[derive(Serialize)]
struct KindText {
    kind: &'static str,
    columns: Vec<&'static str>,
}

#[derive(Serialize)]
struct RuleText {
    name: String,
    priority: String,
    target: String,
}

impl From<&Wants> for WantsText {
    fn from(wants: &Wants) -> Self {
        let kinds = wants.kinds.iter().map(|&kind| KindText {
            kind: kind.as_str(),
            columns: wants.columns(kind),
        });
        let rules = wants.rules.iter().map(|rule| RuleText {
            name: rule.name.clone(),
            priority: rule.priority.clone(),
            target: rule.target.clone(),
        });
        Self {
            kinds: kinds.collect(),
            patterns: wants
                .patterns
                .iter()
                .map(|pattern| pattern.as_str().to_owned())
                .collect(),
            rules: rules.collect(),
            counters: wants.counters.clone(),
        }
    }
}

pub(super) fn inspect(global: &Global, arguments: &InspectArguments) -> Result<ExitCode, Failure> {
    let loaded = global.load()?;
    logs::start(&loaded.config.log)?;
    let slot = arguments.slot.slot(&loaded.config)?;
    let module = module_at(&arguments.file, slot.limits.component_bytes_max)?;
    let interfaces = Interfaces::read(&module.bytes)
        .map_err(|error| Failure::Usage(format!("{}: {error}", module.name)))?;
    let judged = interfaces.clone().shape();
    let is_guest = judged.is_ok();
    let signature = if arguments
        .file
        .to_string_lossy()
        .starts_with(BUILT_IN_PREFIX)
    {
        Signed::built_in()
    } else {
        let trust = Trust::from(&loaded.config.trust);
        Signed::beside(&arguments.file, &module, &trust)?
    };
    let mut inspection = told(&module, signature, interfaces, judged);
    if is_guest {
        let sandbox = sandbox(&loaded.config)?;
        let order = slot.order(&module.name, None);
        ask(&mut inspection, &sandbox, &order, &module)?;
    }
    if arguments.json {
        let text = serde_json::to_string(&inspection).map_err(anyhow::Error::from)?;
        println!("{text}");
    } else {
        print(&inspection, &arguments.file);
    }
    if !is_guest {
        let why = inspection.problem.unwrap_or_default();
        return Err(Failure::Usage(format!("{}: {why}", module.name)));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(
    module: &Module,
    signature: Signed,
    interfaces: Interfaces,
    judged: Result<Shape, ShapeError>,
) -> Inspection {
    let (shape, problem) = match judged {
        Ok(shape) => (Some(shape), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let world = shape.as_ref().map(|shape| shape.world);
    let grants = world.map(|world| needed(world, &interfaces.imports));
    Inspection {
        file: module.name.clone(),
        bytes: module.bytes.len(),
        sha256: module.digest,
        signature,
        imports: interfaces.imports,
        exports: interfaces.exports,
        world: world.map(World::as_str),
        snapshots: shape.is_some_and(|shape| shape.besides.snapshots),
        grants: grants.unwrap_or_default(),
        name: None,
        version: None,
        wants: None,
        problem,
    }
}

/// The grants that a slot must give: what of the world's imports the component has.
fn needed(world: World, imports: &[String]) -> Vec<&'static str> {
    let of_contract = |import: &String| {
        let name = import.strip_prefix(CONTRACT)?;
        Some(name.split('@').next().unwrap_or(name).to_owned())
    };
    let imported: Vec<String> = imports.iter().filter_map(of_contract).collect();
    let names = world.imports().iter().copied();
    names
        .filter(|name| *name != UNGRANTED)
        .filter(|name| imported.iter().any(|import| import == name))
        .collect()
}

/// Runs the guest as far as it says who it is and what it wants.
fn ask(
    inspection: &mut Inspection,
    sandbox: &Sandbox,
    order: &GuestOrder,
    module: &Module,
) -> Result<(), Failure> {
    let (name, version) = sandbox.describe(order, module).map_err(TrialError::from)?;
    inspection.name = Some(name);
    inspection.version = Some(version);
    match sandbox.prepare_module(order, module) {
        Ok(guest) => inspection.wants = Some(WantsText::from(&guest.wants)),
        // Many guests can't do without settings: that is no reason to say nothing of them.
        Err(error @ (PrepareError::Init { .. } | PrepareError::SelfTest { .. })) => {
            inspection.problem = Some(error.to_string());
        }
        Err(error) => return Err(TrialError::from(error).into()),
    }
    Ok(())
}

fn print(inspection: &Inspection, file: &Path) {
    println!("component  {}", file.display());
    println!("size       {} bytes", grouped(inspection.bytes as u64));
    println!("sha256     {}", inspection.sha256);
    println!("signature  {}", printable(&inspection.signature.told()));
    if let (Some(name), Some(version)) = (&inspection.name, &inspection.version) {
        println!("guest      {} {}", printable(name), printable(version));
    }
    if let Some(world) = inspection.world {
        let snapshots = if inspection.snapshots {
            ", with snapshots"
        } else {
            ""
        };
        println!("world      {world}{snapshots}");
    }
    list("imports", inspection.imports.iter());
    list("exports", inspection.exports.iter());
    if inspection.world.is_some() {
        println!("grants     {}", or_none(&inspection.grants.join(", ")));
    }
    if let Some(wants) = &inspection.wants {
        print_wants(wants);
    }
    if let (Some(_), Some(problem)) = (inspection.world, &inspection.problem) {
        println!("wants      unknown: {}", printable(problem));
    }
}

fn print_wants(wants: &WantsText) {
    let kinds = wants.kinds.iter();
    list(
        "wants",
        kinds.map(|kind| format!("{}: {}", kind.kind, or_none(&kind.columns.join(", ")))),
    );
    if !wants.patterns.is_empty() {
        list("patterns", wants.patterns.iter());
    }
    if !wants.rules.is_empty() {
        let rules = wants.rules.iter();
        list(
            "rules",
            rules.map(|rule| match rule.target.as_str() {
                "" => format!("{} ({})", rule.name, rule.priority),
                target => format!("{} ({}, for {target})", rule.name, rule.priority),
            }),
        );
    }
    if !wants.counters.is_empty() {
        list("counters", wants.counters.iter());
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// A heading with its items below each other.
fn list<T: AsRef<str>>(heading: &str, items: impl ExactSizeIterator<Item = T>) {
    if items.len() == 0 {
        println!("{heading:<10} none");
    }
    for (place, item) in items.enumerate() {
        let heading = if place == 0 { heading } else { "" };
        println!("{heading:<10} {}", printable(item.as_ref()));
    }
}
