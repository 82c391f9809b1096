//! Looking into images with other people's programs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::Cmd;

/// A partition, as sfdisk sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// GPT type, in capitals; a number of an MBR.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// GPT type of an EFI system partition.
pub const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
/// GPT type of a root partition for x86-64 (Discoverable Partitions Specification).
pub const ROOT: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";

/// The partition table in sfdisk's eyes: a GPT.
pub fn partitions(image: &Path) -> Result<Vec<Partition>> {
    let (label, partitions) = table(image)?;
    ensure!(label == "gpt", "the label is {label}");
    Ok(partitions)
}

/// The same of any partition table, with its kind.
pub fn table(image: &Path) -> Result<(String, Vec<Partition>)> {
    let text = Cmd::new("sfdisk").arg("-J").arg(image).ok()?;
    let table: Value = serde_json::from_str(&text).with_context(|| format!("reading sfdisk's answer {text}"))?;
    let table = &table["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let list = table["partitions"].as_array().context("no partitions")?;
    let number = |p: &Value, key: &str| p[key].as_u64().with_context(|| format!("no {key} in {p}"));
    let text = |p: &Value, key: &str| p[key].as_str().unwrap_or_default().to_string();
    let one = |p: &Value| {
        let (start, size) = (number(p, "start")? * sector, number(p, "size")? * sector);
        Ok(Partition { start, size, kind: text(p, "type").to_uppercase(), name: text(p, "name") })
    };
    Ok((text(table, "label"), list.iter().map(one).collect::<Result<_>>()?))
}

/// The one partition of a type.
pub fn find<'a>(partitions: &'a [Partition], kind: &str) -> Result<&'a Partition> {
    partitions.iter().find(|p| p.kind == kind).with_context(|| format!("no partition of type {kind} in {partitions:?}"))
}

/// Copies a partition out into a file, holes where there are zeros.
pub fn extract(image: &Path, partition: &Partition, to: &Path) -> Result<()> {
    let mut from = File::open(image)?;
    from.seek(SeekFrom::Start(partition.start))?;
    let mut from = from.take(partition.size);
    let to = File::create(to)?;
    to.set_len(partition.size)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            ensure!(at == partition.size, "the image ends inside of a partition");
            return Ok(());
        }
        if !zero(&buffer[..n]) {
            std::os::unix::fs::FileExt::write_all_at(&to, &buffer[..n], at)?;
        }
        at += n as u64;
    }
}

/// Whether there are zeros only. What compares is the standard library, which is fast in a debug build as well.
pub fn zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}
