//! From the bytes of a machine file to a checked machine, or to everything that is wrong with it.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::checked::{Checked, Place};
use crate::model::{Hardware, InstallFile, Machine};
use crate::names::shown;
use crate::pointer::within;
use crate::problem::{Position, Problem, Problems};
use crate::rules::{self, Found};
use crate::schema;
use crate::structure::{self, Structure};
use crate::yaml::{self, Yaml};

/// A file's name, for messages, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name that messages show.
    pub name: String,
    /// The contents.
    pub bytes: Vec<u8>,
}

impl SourceFile {
    /// A file.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> SourceFile {
        SourceFile { name: name.into(), bytes: bytes.into() }
    }
}

/// Checks a machine file, and the hardware file that it includes.
///
/// `read` is given the path of the hardware file as it is written (relative to the machine file's folder, or
/// absolute) and gives its contents, or says why it cannot ("No such file or directory").
///
/// # Errors
/// All problems of both files at once.
pub fn check(main: &SourceFile, read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Checked, Problems> {
    let (place, structure, refused) = read_as(main, schema::machine())?;
    let mut found: Vec<Finding> = refused.into_iter().map(Finding::Error).collect();
    let mut machine: Machine = typed(&place, &structure.value)?;
    sort(&place, &structure, rules::machine(&machine), &mut found);
    found.extend(structure.problems.into_iter().map(Finding::Error));

    let mut hardware = None;
    let mut hardware_place = None;
    if let Some(path) = machine.hardware.as_deref().filter(|path| !path.is_empty()) {
        match read(path) {
            Err(reason) => {
                let help = "`cairn hardware` writes one; the path is relative to this file".to_owned();
                let problem = place.problem("/hardware", format!("reading `{}`: {reason}", shown(path)), Some(help));
                found.push(Finding::Error(problem));
            }
            Ok(bytes) => match included(&SourceFile::new(path, bytes), Some(&machine), &mut found) {
                Ok((value, at)) => (hardware, hardware_place) = (Some(value), Some(at)),
                Err(more) => found.extend(more.into_iter().map(Finding::Error)),
            },
        }
    }

    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for finding in found {
        match finding {
            Finding::Error(problem) => errors.push(problem),
            Finding::Warning(problem) => warnings.push(problem),
        }
    }
    // The main file first, whatever the names are.
    let main_first = |problem: &Problem| problem.file != main.name;
    if let Some(mut problems) = Problems::new(errors) {
        problems.sort_by_key(main_first);
        return Err(problems);
    }
    // They are facts of the hardware; whoever reads the disk finds them there.
    for (name, id) in hardware.iter().flat_map(|hardware: &Hardware| &hardware.partitions) {
        let root_disk = machine.root_disk().map(|(name, _)| name.to_string());
        if let Some(disk) = root_disk.and_then(|disk| machine.disks.get_mut(&disk))
            && let Some(index) = disk.named(name)
        {
            disk.give_id(index, *id);
        }
    }
    let mut warnings = Problems::new(warnings).map(Problems::into_vec).unwrap_or_default();
    warnings.sort_by_key(main_first);
    Ok(Checked { machine, hardware, warnings, main: place, hardware_place })
}

/// Checks a hardware file by itself.
///
/// # Errors
/// All its problems at once.
pub fn check_hardware(file: &SourceFile) -> Result<Hardware, Problems> {
    let mut found = Vec::new();
    let (hardware, _) = included(file, None, &mut found)?;
    let errors = found.into_iter().filter_map(|finding| match finding {
        Finding::Error(problem) => Some(problem),
        Finding::Warning(_) => None,
    });
    Problems::new(errors.collect()).map_or(Ok(hardware), Err)
}

/// Checks an install file by itself.
///
/// # Errors
/// All its problems at once.
pub fn check_install(file: &SourceFile) -> Result<InstallFile, Problems> {
    let (place, structure, refused) = read_as(file, schema::install_file())?;
    let mut found: Vec<Finding> = refused.into_iter().map(Finding::Error).collect();
    let install: InstallFile = typed(&place, &structure.value)?;
    sort(&place, &structure, rules::install_file(&install), &mut found);
    found.extend(structure.problems.into_iter().map(Finding::Error));
    let errors = found.into_iter().filter_map(|finding| match finding {
        Finding::Error(problem) => Some(problem),
        Finding::Warning(_) => None,
    });
    Problems::new(errors.collect()).map_or(Ok(install), Err)
}

/// Whether a text is an install file, not a machine file: it names a machine file where the other one names its host.
pub fn is_install_file(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("machine:") && !has("hostname:")
}

/// A file's tree, what of it fits the schema, and what the reader of YAML has to say. Where the text ends too early for
/// more than that, everything that was found until there.
fn read_as(file: &SourceFile, schema: &Json) -> Result<(Place, Structure, Vec<Problem>), Problems> {
    let Yaml { tree, whole, problems: mut refused } = yaml::parse(&file.name, &file.bytes);
    let Some(tree) = tree else { return Err(problems(refused)) };
    let place = Place { name: file.name.clone(), tree };
    let structure = structure::check(&place.name, &place.tree, schema, whole);
    other_version(&structure)?;
    if !whole {
        // What should follow from the rest of the file cannot be said.
        refused.extend(structure.problems);
        return Err(problems(refused));
    }
    Ok((place, structure, refused))
}

enum Finding {
    Error(Problem),
    Warning(Problem),
}

fn included(
    file: &SourceFile,
    machine: Option<&Machine>,
    found: &mut Vec<Finding>,
) -> Result<(Hardware, Place), Problems> {
    let (place, structure, refused) = read_as(file, schema::hardware())?;
    found.extend(refused.into_iter().map(Finding::Error));
    let hardware = typed(&place, &structure.value)?;
    sort(&place, &structure, rules::hardware(&hardware, machine), found);
    found.extend(structure.problems.into_iter().map(Finding::Error));
    Ok((hardware, place))
}

/// A file of another version would be full of problems that mean nothing: only the version is reported.
fn other_version(structure: &Structure) -> Result<(), Problems> {
    let about_version = |problem: &&Problem| problem.message.starts_with("version: ");
    match structure.problems.iter().find(about_version) {
        Some(problem) if problem.message.contains("only possible value") => {
            let mut problem = problem.clone();
            problem.help = Some("write `version: 1`; a later version needs a later Cairn".to_owned());
            Err(problem.into())
        }
        _ => Ok(()),
    }
}

/// The typed value. The structural check leaves nothing that serde could refuse; should the two ever differ, that is
/// an error and no panic.
fn typed<T: DeserializeOwned>(place: &Place, value: &Json) -> Result<T, Problems> {
    T::deserialize(value)
        .map_err(|error| place.problem("", format!("the file does not fit the model: {error}"), None).into())
}

/// Gives the findings their places, without those that follow from what is broken or missing anyway.
fn sort(place: &Place, structure: &Structure, found: Vec<Found>, into: &mut Vec<Finding>) {
    for found in found {
        let broken = |pointer: &str| structure.broken.contains(pointer);
        let in_what_is_broken = within(&found.pointer).any(broken);
        // A key is what it is, whatever its value is.
        let has_broken = !found.on_key && (broken(&found.pointer) || has_below(&structure.broken, &found.pointer));
        if in_what_is_broken || has_broken {
            continue;
        }
        let key_at = place.tree.key_position_of(&found.pointer).filter(|_| found.on_key);
        let at = key_at.unwrap_or_else(|| place.tree.nearest_position_of(&found.pointer));
        let problem = Problem::new(&place.name, at, found.message, found.help);
        into.push(if found.warning { Finding::Warning(problem) } else { Finding::Error(problem) });
    }
}

/// Whether one of the sorted pointers names something in what `pointer` names.
fn has_below(sorted: &BTreeSet<String>, pointer: &str) -> bool {
    let inside = format!("{pointer}/");
    sorted.range(inside.clone()..).next().is_some_and(|first| first.starts_with(&inside))
}

fn problems(list: Vec<Problem>) -> Problems {
    Problems::new(list).unwrap_or_else(|| Problem::new("", Position::START, "the file cannot be read", None).into())
}
