//! The machine file as the installed machine has it: with a hardware file, a seed of its own, and the partitions that were there before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use cairn_machine::model::Hardware;
use cairn_machine::{Checked, SourceFile, check_hardware};
use cairn_make::MachineFile;
use cairn_process::Refusal;
use uuid::Uuid;

use crate::hardware::{Findings, findings, observe, quoted};

/// What a machine file without a hardware file gets: under this name, beside it.
const HARDWARE: &str = "hardware.yaml";

/// The texts that differ from the files, so that a plan can be carried out later with the same ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Texts {
    /// The machine file's.
    pub machine: Option<String>,
    /// The hardware file's.
    pub hardware: Option<String>,
}

impl Texts {
    /// The machine file with these texts.
    pub fn of(&self, path: &Path) -> MachineFile {
        let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
        MachineFile { path: path.to_path_buf(), text: bytes(&self.machine), hardware: bytes(&self.hardware) }
    }
}

/// The computer that the machine will run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Computer {
    /// This one.
    This,
    /// Another one, of which this hardware file was written.
    Recorded(String),
    /// Another one.
    Unknown,
    /// Whichever: the files stay as they are.
    Any,
}

/// The texts for a machine that is installed from a file on a computer, of whose hardware a file is made if the machine names none; and
/// what to know about that.
///
/// # Errors
/// What is wrong with the files, and what looking at the hardware meets.
pub fn texts(path: &Path, of: Computer) -> anyhow::Result<(Texts, Vec<String>)> {
    let file: MachineFile = path.into();
    let checked = file.load()?;
    let (mut texts, mut notes) = (Texts::default(), Vec::new());
    if of == Computer::Any {
        return Ok((texts, notes));
    }
    let named = checked.machine.hardware.as_deref().filter(|name| !name.is_empty());
    let mut hardware = match named {
        Some(name) => text(file.hardware(name).with_context(|| format!("reading {name}"))?)?,
        None => match of {
            Computer::Unknown | Computer::Any => "version: 1\n".to_string(),
            Computer::Recorded(text) => text,
            Computer::This => {
                let observed = observe(Path::new("/")).context("looking at this computer")?;
                let mut found = findings(&observed);
                notes = advice(&found, &checked);
                // As they are now the disks will not be any more, and how much memory there is makes no other system.
                found.forget_the_computer();
                found.to_yaml(&observed)
            }
        },
    };
    if named.is_none() {
        let machine = text(file.text().with_context(|| format!("reading {}", path.display()))?)?;
        texts.machine = Some(with_hardware(&machine));
    }
    let has_seed = checked.machine.seed.is_some() || checked.hardware.as_ref().is_some_and(|it| it.seed.is_some());
    if !has_seed {
        hardware = with_line(&hardware, "# Every identifier on the disk comes from this: keep it.");
        hardware = with_line(&hardware, &format!("seed: {}", new_seed()?));
    }
    if named.is_none() || !has_seed {
        texts.hardware = Some(hardware);
    }
    // A machine file of another shape than ours may not take a line more: one that is a single `{…}`.
    if texts.machine.is_some() && texts.of(path).load().is_err() {
        return Err(Refusal(format!(
            "the installed machine needs a hardware file, and {} has a form to which no line can be added: write \
             `hardware: {HARDWARE}` into it, and make that file by `cairn hardware -o {HARDWARE}`",
            path.display()
        ))
        .into());
    }
    texts.of(path).load()?;
    Ok((texts, notes))
}

/// What this hardware asks of the machine file, and does not find there.
fn advice(found: &Findings, checked: &Checked) -> Vec<String> {
    let debian = checked.machine.source.debian();
    let kernel = found.kernel_package.iter().filter(|advice| advice.value != debian.kernel);
    let kernel = kernel.map(|advice| format!("this hardware asks for `kernel: {}`: {}", advice.value, advice.reason));
    let packages = found.packages.iter().filter(|advice| !debian.packages.contains(&advice.value));
    let packages =
        packages.map(|advice| format!("this hardware asks for the package {}: {}", advice.value, advice.reason));
    kernel.chain(packages).chain(found.warnings.iter().cloned()).collect()
}

/// The texts with the identifiers of partitions that are kept; of those that have them already, the same.
///
/// # Errors
/// As [`texts`].
pub fn with_partitions(
    texts: &Texts,
    path: &Path,
    checked: &Checked,
    kept: &BTreeMap<String, Uuid>,
) -> anyhow::Result<Texts> {
    let hardware = checked.hardware.as_ref();
    let there = hardware.map(|it| it.partitions.clone()).unwrap_or_default();
    if there == *kept {
        return Ok(texts.clone());
    }
    let name = checked.machine.hardware.as_deref().unwrap_or(HARDWARE);
    let old = text(texts.of(path).hardware(name).with_context(|| format!("reading {name}"))?)?;
    let new = if there.is_empty() {
        let lines = kept.iter().map(|(name, id)| format!("  {}: {id}", quoted(name)));
        let comment = "# These were there before, and are used as they are.".to_string();
        let lines = [comment, "partitions:".into()].into_iter().chain(lines);
        lines.fold(old, |text, line| with_line(&text, &line))
    } else {
        // Its comments go with the partitions that it had.
        let hardware = check_hardware(&SourceFile::new(name, old))?;
        let hardware = Hardware { partitions: kept.clone(), ..hardware };
        serde_json::to_string_pretty(&hardware).context("writing the hardware file")?
    };
    Ok(Texts { machine: texts.machine.clone(), hardware: Some(new) })
}

fn text(bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).context("it is not UTF-8")
}

/// Adds the line that includes a hardware file: behind the first, which says the version, or at the end.
fn with_hardware(machine: &str) -> String {
    let line = format!("hardware: {HARDWARE}\n");
    let version = machine.split_inclusive('\n').take_while(|line| !line.starts_with("version:")).map(str::len).sum();
    let (before, rest) = machine.split_at(version);
    match rest.split_once('\n') {
        Some((version, rest)) => format!("{before}{version}\n{line}{rest}"),
        None => with_line(machine, line.trim_end()),
    }
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{line}\n")
}

/// A seed that no other machine has.
fn new_seed() -> anyhow::Result<Uuid> {
    let mut bytes = [0; 16];
    let mut random = || File::open("/dev/urandom")?.read_exact(&mut bytes);
    random().context("drawing a seed from /dev/urandom")?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_stands_behind_the_version_and_what_takes_no_line_is_refused() {
        assert_eq!(
            with_hardware("# x\nversion: 1\nhostname: a\n"),
            "# x\nversion: 1\nhardware: hardware.yaml\nhostname: a\n"
        );
        assert_eq!(with_hardware("hostname: a\nversion: 1"), "hostname: a\nversion: 1\nhardware: hardware.yaml\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        let plain = "version: 1\nhostname: a\nsource: {debian: {}}\ndisks: {main: {layout: uefi}}\n";
        let json = "{\"version\": 1, \"hostname\": \"a\", \"source\": {\"debian\": {}}, \"disks\": {\"main\": {\"layout\": \"uefi\"}}}";
        for text in [plain.to_string(), format!("{plain}...\n"), plain.replace('\n', "\r\n")] {
            std::fs::write(&path, text).unwrap();
            let (texts, _) = super::texts(&path, Computer::Unknown).unwrap();
            let checked = texts.of(&path).load().unwrap();
            assert!(checked.hardware.unwrap().seed.is_some());
        }
        std::fs::write(&path, json).unwrap();
        let said = super::texts(&path, Computer::Unknown).unwrap_err().to_string();
        assert!(said.contains("to which no line can be added"), "{said}");
    }

    #[test]
    fn partitions_that_are_kept_are_remembered_and_once_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        let disks = "disks: {main: {partitions: [{type: esp}, {type: root}, {type: home}]}}";
        std::fs::write(&path, format!("version: 1\nhostname: a\nsource: {{debian: {{}}}}\n{disks}\n")).unwrap();
        let (texts, _) = super::texts(&path, Computer::Unknown).unwrap();
        let of = |texts: &Texts| texts.of(&path).load().unwrap();
        let kept = |id| BTreeMap::from([("home".to_string(), Uuid::from_u128(id))]);
        let first = with_partitions(&texts, &path, &of(&texts), &kept(1)).unwrap();
        assert_eq!(of(&first).hardware.unwrap().partitions, kept(1));
        assert_eq!(with_partitions(&first, &path, &of(&first), &kept(1)).unwrap(), first);
        let other = with_partitions(&first, &path, &of(&first), &kept(2)).unwrap();
        assert_eq!(of(&other).hardware.unwrap().partitions, kept(2));
        assert_eq!(of(&other).seed(), of(&texts).seed());
        assert_eq!(of(&other).machine.root_disk().unwrap().1.partitions[2].id, Some(Uuid::from_u128(2)));
    }
}
