//! How two generations differ, in full.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Serialize;

use crate::ObserveError;
use crate::etc::{self, FileChange};
use crate::generations::{Found, Reader, settings_of};
use crate::links::{find, links};
use crate::packages::{self, Change};
use crate::settings::Setting;
use crate::view::{Closures, View, ViewError};

/// One side of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The generation.
    pub generation: u64,
    /// Its system.
    pub system: String,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The kernel's command line, without what names the generation.
    pub kernel_parameters: Vec<String>,
    /// The size of the system and all that it refers to.
    pub closure_size: Option<u64>,
    /// The part of it that the other one does not refer to.
    pub only_here: Option<u64>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// The whole difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// The older side, as it was asked for.
    pub from: Side,
    /// The other.
    pub to: Side,
    /// Packages that differ, where both lists are known.
    pub packages: Option<Vec<Change>>,
    /// Settings of the machine file that differ, where both have one.
    pub settings: Option<Vec<Setting>>,
    /// Files of /etc that differ, where both have one.
    pub etc: Option<Vec<FileChange>>,
    /// Whether the initrd is another.
    pub initrd_changed: bool,
}

/// Compares two generations; `contents`: with the lines of the files that differ.
///
/// # Errors
/// What reading meets; a refusal where one of them is not there.
pub fn read(machine: &View<'_>, from: u64, to: u64, contents: bool) -> Result<Diff, ObserveError> {
    let files = &*machine.root;
    let (links, _) = links(files)?;
    let (from, to) = (find(&links, from)?, find(&links, to)?);
    let mut reader = Reader::new(files);
    let (old, new) = (reader.find(&from.system)?, reader.find(&to.system)?);

    let list = |reader: &mut Reader<'_>, found: &Found| reader.packages.of(&found.system, found.base().as_deref());
    let packages = match old.base().is_some() && old.base() == new.base() {
        true => Some(Vec::new()),
        false => {
            let (a, b) = (list(&mut reader, &old)?, list(&mut reader, &new)?);
            a.zip(b).map(|(a, b)| packages::changes(&a, &b))
        }
    };
    let of_system = |found: &Found, name: &str| files.link(&format!("{}/{name}", found.system));
    let etc = match (of_system(&old, "etc")?, of_system(&new, "etc")?) {
        (Some(a), Some(b)) => Some(etc::differences(files, &a, &b, contents)?),
        _ => None,
    };
    let mut closures = Closures::new(files);
    let (a, b) = (closures.of(&old.system)?, closures.of(&new.system)?);
    let mut side = |number, found: &Found, own: &Option<_>, other: &Option<_>| -> Result<Side, ViewError> {
        let (own, other): (&Option<BTreeSet<Rc<str>>>, &Option<_>) = (own, other);
        let only = own.as_ref().zip(other.as_ref()).map(|(own, other)| own.difference(other));
        Ok(Side {
            generation: number,
            system: found.system.clone(),
            kernel: found.facts.kernel_release.clone(),
            kernel_parameters: parameters(found),
            closure_size: own.as_ref().map(|paths| closures.size(paths)).transpose()?,
            only_here: only.map(|paths| closures.size(paths)).transpose()?,
            problem: found.problem().cloned(),
        })
    };
    Ok(Diff {
        from: side(from.number, &old, &a, &b)?,
        to: side(to.number, &new, &b, &a)?,
        packages,
        settings: settings_of(&old, &new),
        etc,
        initrd_changed: of_system(&old, "initrd")? != of_system(&new, "initrd")?,
    })
}

fn parameters(found: &Found) -> Vec<String> {
    // That its bootspec is damaged is told as the generation's problem.
    found.facts.boots.as_ref().map(|boots| boots.system.bootspec.kernel_params.clone()).unwrap_or_default()
}
