//! What was in a partition, by its signature only: made by the real tool where one makes it, else the few bytes by which it is known.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use cairn_disk::{BlockTarget, Source as _, Target};
use cairn_machine::model::RecordedSignature;
use cairn_process::{Tool, ToolError};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use uuid::Uuid;

const PIECE: u64 = 1 << 20;

/// Where it was.
pub struct Place {
    /// How it is called.
    pub name: String,
    /// Its first byte.
    pub at: u64,
    /// Its length.
    pub len: u64,
    /// The disk's sectors.
    pub sector: u64,
}

/// Puts it there; what cannot be made is told. `node` is where children of ours find the twin, `folder` where scratch files may be.
pub fn put(
    twin: &BlockTarget,
    node: &Path,
    folder: &Path,
    place: &Place,
    found: Option<&RecordedSignature>,
    unknown: bool,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let name = &place.name;
    let Some(found) = found else {
        if unknown {
            notes.push(format!("{name}: nobody could look into it when it was recorded, and on the twin it is empty"));
        }
        return Ok(());
    };
    let instead = "on the twin it is empty; the plan counts it all the same";
    let kind = &found.kind;
    if place.at.saturating_add(place.len) > twin.len() {
        notes.push(format!("{name} ends behind the end of the disk: {kind} is not made there"));
        return Ok(());
    }
    if let Some(pieces) = bytes(found, place) {
        for (at, bytes) in pieces.iter().filter(|(at, bytes)| at + bytes.len() as u64 <= place.len) {
            twin.write_at(place.at + at, bytes).with_context(|| format!("writing {kind} into the twin"))?;
        }
    } else if let Some(tool) = tool(found, place) {
        let scratch = tempfile::NamedTempFile::new_in(folder).context("making a file for a file system")?;
        scratch.as_file().set_len(place.len).context("making a file for a file system")?;
        match tool.arg(scratch.path()).output() {
            Ok(_) => {
                copy(scratch.as_file(), twin, place.at).with_context(|| format!("writing {kind} into the twin"))?
            }
            Err(ToolError::Missing { program, .. }) => {
                notes.push(format!("{name}: {kind} is made by {program}, which is not here: {instead}"));
                return Ok(());
            }
            Err(error @ ToolError::Failed { .. }) => {
                notes.push(format!("{name}: {kind} could not be made ({error}): {instead}"));
                return Ok(());
            }
            Err(error) => return Err(error).with_context(|| format!("making {kind}")),
        }
    } else {
        notes.push(format!("{name}: {kind} cannot be made here: {instead}"));
        return Ok(());
    }
    twin.sync().context("writing the twin")?;
    // Somebody else's eyes: what they do not see as what it was, a system on the twin would not either.
    if let Some(seen) = seen(node, place).filter(|seen| seen != kind) {
        notes.push(format!("{name}: it held {kind}, and on the twin blkid sees {seen}"));
    }
    Ok(())
}

/// What blkid sees there; nothing where there is no blkid.
fn seen(node: &Path, place: &Place) -> Option<String> {
    let tool = Tool::new("blkid", "util-linux", "look at the twin")
        .args(["-p", "-o", "value", "-s", "TYPE", "-O", &place.at.to_string(), "-S", &place.len.to_string()])
        .arg(node);
    match tool.output() {
        Ok(said) => Some(String::from_utf8_lossy(&said).trim().to_string()),
        Err(ToolError::Failed { status, .. }) if status.code() == Some(2) => Some("nothing".into()),
        Err(_) => None,
    }
}

/// Copies what is no hole.
fn copy(from: &File, to: &BlockTarget, offset: u64) -> anyhow::Result<()> {
    let mut buffer = vec![0; usize::try_from(PIECE)?];
    let mut next = 0;
    loop {
        let data = match lseek(from, i64::try_from(next)?, Whence::SeekData) {
            Ok(data) => u64::try_from(data)?,
            Err(Errno::ENXIO) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let end = u64::try_from(lseek(from, i64::try_from(data)?, Whence::SeekHole)?)?;
        next = data;
        while next < end {
            let piece = &mut buffer[..usize::try_from((end - next).min(PIECE))?];
            from.read_exact_at(piece, next)?;
            if piece.iter().any(|byte| *byte != 0) {
                to.write_at(offset + next, piece)?;
            }
            next += piece.len() as u64;
        }
    }
}

/// The tool that makes it, all but the file.
fn tool(found: &RecordedSignature, place: &Place) -> Option<Tool> {
    let uuid = found.uuid.as_deref().and_then(|uuid| Uuid::try_parse(uuid).ok()).map(|uuid| uuid.to_string());
    let label = found.label.clone();
    let mut tool = match found.kind.as_str() {
        kind @ ("ext2" | "ext3" | "ext4") => Tool::new("mke2fs", "e2fsprogs", "make the file systems of a twin")
            .args(["-q", "-F", "-t", kind, "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"]),
        "swap" => Tool::new("mkswap", "util-linux", "make the swap space of a twin"),
        "xfs" => Tool::new("mkfs.xfs", "xfsprogs", "make the file systems of a twin").args(["-q", "-f", "-K"]),
        "btrfs" => Tool::new("mkfs.btrfs", "btrfs-progs", "make the file systems of a twin").args(["-q", "-f", "-K"]),
        "vfat" => {
            let bits = found.version.as_deref().and_then(|version| version.strip_prefix("FAT"));
            let mut tool = Tool::new("mkfs.fat", "dosfstools", "make the file systems of a twin");
            tool = tool.args(["-S", &place.sector.to_string()]);
            if let Some(bits) = bits.filter(|bits| matches!(*bits, "12" | "16" | "32")) {
                tool = tool.args(["-F", bits]);
            }
            if let Some(id) = found.uuid.as_deref().map(|id| id.replace('-', "")) {
                tool = tool.args(["-i", &id]);
            }
            return Some(label.into_iter().fold(tool, |tool, label| tool.args(["-n", &label])));
        }
        _ => return None,
    };
    let of_uuid = if found.kind == "xfs" { "-m" } else { "-U" };
    if let Some(uuid) = uuid {
        tool = tool.args([of_uuid, &if found.kind == "xfs" { format!("uuid={uuid}") } else { uuid }]);
    }
    Some(label.into_iter().fold(tool, |tool, label| tool.args(["-L", &label])))
}

/// The bytes by which it is known, with their places; nothing where a tool makes it, or nobody here does.
fn bytes(found: &RecordedSignature, place: &Place) -> Option<Vec<(u64, Vec<u8>)>> {
    Some(match found.kind.as_str() {
        "crypto_LUKS" => vec![(0, luks(found))],
        "LVM2_member" => vec![(512, lvm(found))],
        "linux_raid_member" => {
            let at = match found.version.as_deref() {
                Some("1.0") => (place.len.checked_sub(8192)?) & !4095,
                Some("1.1") => 0,
                Some("1.2") => 4096,
                _ => return None,
            };
            vec![(at, md(found, at / 512))]
        }
        "BitLocker" => bitlocker(),
        "ntfs" => ntfs(found, place),
        _ => return None,
    })
}

fn at(bytes: &mut [u8], offset: usize, what: &[u8]) {
    bytes[offset..offset + what.len()].copy_from_slice(what);
}

/// At most so many bytes of a text.
fn cut(text: Option<&String>, most: usize) -> Vec<u8> {
    text.map(|text| text.bytes().take(most).collect()).unwrap_or_default()
}

/// The header of LUKS (LUKS2 on-disk format, section 2): no key opens it.
fn luks(found: &RecordedSignature) -> Vec<u8> {
    let mut header = vec![0; 4096];
    let second = found.version.as_deref() != Some("1");
    at(&mut header, 0, b"LUKS\xba\xbe");
    at(&mut header, 6, &[0, if second { 2 } else { 1 }]);
    if second {
        at(&mut header, 8, &16384_u64.to_be_bytes());
        at(&mut header, 24, &cut(found.label.as_ref(), 47));
        at(&mut header, 72, b"sha256");
    }
    at(&mut header, 168, &cut(found.uuid.as_ref(), 39));
    header
}

/// The label of a physical volume of LVM, in its second sector: without metadata behind it.
fn lvm(found: &RecordedSignature) -> Vec<u8> {
    let mut label = vec![0; 512];
    at(&mut label, 0, b"LABELONE");
    at(&mut label, 8, &1_u64.to_le_bytes());
    at(&mut label, 20, &32_u32.to_le_bytes());
    at(&mut label, 24, b"LVM2 001");
    let uuid = found.uuid.as_ref().map(|uuid| uuid.replace('-', ""));
    at(&mut label, 32, &cut(uuid.as_ref(), 32));
    // As LVM counts: the common polynomial, with a beginning of its own and nothing turned at the end.
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    let sum = label[20..].iter().fold(0xf597_a6cf_u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step));
    at(&mut label, 16, &sum.to_le_bytes());
    label
}

/// The superblock of a part of an array (version 1), at this sector: of an array that has no other parts here.
fn md(found: &RecordedSignature, sector: u64) -> Vec<u8> {
    let mut block = vec![0; 4096];
    at(&mut block, 0, &0xa92b_4efc_u32.to_le_bytes());
    at(&mut block, 4, &1_u32.to_le_bytes());
    if let Some(uuid) = found.uuid.as_deref().and_then(|uuid| Uuid::try_parse(uuid).ok()) {
        at(&mut block, 16, uuid.as_bytes());
    }
    at(&mut block, 32, &cut(found.label.as_ref(), 32));
    // RAID 1 of two.
    at(&mut block, 72, &1_u32.to_le_bytes());
    at(&mut block, 92, &2_u32.to_le_bytes());
    at(&mut block, 144, &sector.to_le_bytes());
    let words =
        block[..256].chunks_exact(4).map(|word| u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
    let sum: u64 = words.sum();
    let folded = (sum & 0xffff_ffff) + (sum >> 32);
    at(&mut block, 216, &u32::try_from(folded & 0xffff_ffff).unwrap_or(0).to_le_bytes());
    block
}

/// The boot sector of a volume of BitLocker (Windows 7 and later), and the beginning of the metadata that it names.
fn bitlocker() -> Vec<(u64, Vec<u8>)> {
    const METADATA: u64 = 1 << 20;
    let mut sector = vec![0; 512];
    at(&mut sector, 0, b"\xeb\x58\x90-FVE-FS-");
    at(&mut sector, 11, &512_u16.to_le_bytes());
    at(&mut sector, 13, &[8]);
    at(&mut sector, 160, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01");
    at(&mut sector, 176, &METADATA.to_le_bytes());
    at(&mut sector, 510, &[0x55, 0xaa]);
    let mut metadata = vec![0; 64];
    at(&mut metadata, 0, b"-FVE-FS-");
    at(&mut metadata, 8, &64_u16.to_le_bytes());
    at(&mut metadata, 10, &2_u16.to_le_bytes());
    vec![(0, sector), (METADATA, metadata)]
}

/// The boot sector of an NTFS, and the beginnings of the two records of its table that are looked at.
fn ntfs(found: &RecordedSignature, place: &Place) -> Vec<(u64, Vec<u8>)> {
    const CLUSTER: u64 = 4096;
    const TABLE: u64 = 4;
    const RECORD: u64 = 4096;
    let sector = u16::try_from(place.sector).unwrap_or(512);
    let mut boot = vec![0; 512];
    at(&mut boot, 0, b"\xeb\x52\x90NTFS    ");
    at(&mut boot, 11, &sector.to_le_bytes());
    at(&mut boot, 13, &[u8::try_from(CLUSTER / place.sector).unwrap_or(8)]);
    at(&mut boot, 21, &[0xf8]);
    at(&mut boot, 40, &(place.len / place.sector).saturating_sub(1).to_le_bytes());
    at(&mut boot, 48, &TABLE.to_le_bytes());
    at(&mut boot, 56, &2_u64.to_le_bytes());
    // 2^12 bytes in a record of the table, one cluster in one of an index.
    at(&mut boot, 64, &[0xf4]);
    at(&mut boot, 68, &[1]);
    let serial = found.uuid.as_deref().and_then(|uuid| u64::from_str_radix(uuid, 16).ok());
    at(&mut boot, 72, &serial.unwrap_or(0).to_le_bytes());
    at(&mut boot, 510, &[0x55, 0xaa]);
    let mut record = vec![0; 64];
    at(&mut record, 0, b"FILE");
    at(&mut record, 20, &56_u16.to_le_bytes());
    at(&mut record, 24, &64_u32.to_le_bytes());
    at(&mut record, 28, &(RECORD as u32).to_le_bytes());
    at(&mut record, 56, &[0xff; 4]);
    // The table itself, and the record of the volume's name.
    vec![(0, boot), (TABLE * CLUSTER, record.clone()), (TABLE * CLUSTER + 3 * RECORD, record)]
}
