//! From a raw image to qcow2.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::copy_range;
use cairn_process::Report;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::Qcow2Error;
use super::layout::{CLUSTER, CLUSTER_BITS, COPIED, HEADER, Layout, PER_L2};

/// Writes a raw image into `out`, a new and empty file; messages call the two by their paths, which they need not have
/// yet. Blocks are shared where the file system can do that. Reports bytes; the phase is the caller's.
///
/// # Errors
/// [`Qcow2Error::Full`], [`Qcow2Error::Write`], [`Qcow2Error::Read`].
pub fn convert(
    (raw, raw_path): (&File, &Path),
    (out, path): (&File, &Path),
    report: &dyn Report,
) -> Result<(), Qcow2Error> {
    let read = |source| Qcow2Error::Read { path: raw_path.to_path_buf(), source };
    let write = |source: io::Error| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Qcow2Error::Full { path: path.to_path_buf() },
        _ => Qcow2Error::Write { path: path.to_path_buf(), source },
    };
    let len = raw.metadata().map_err(read)?.len();
    let used = used_clusters(raw, len).map_err(read)?;
    let layout = Layout::new(&used);
    out.set_len(layout.total * CLUSTER).map_err(write)?;
    metadata(out, len, &used, &layout).map_err(write)?;

    let mut to = layout.data_at() * CLUSTER;
    for run in runs(&used) {
        let start = run.start as u64 * CLUSTER;
        let count = (run.end as u64 * CLUSTER).min(len) - start;
        copy_range(raw, start, out, to, count).map_err(write)?;
        report.advance(count);
        to += run.len() as u64 * CLUSTER;
    }
    Ok(())
}

/// Which clusters of the disk hold anything but zeros.
fn used_clusters(file: &File, len: u64) -> io::Result<Vec<bool>> {
    let mut used = vec![false; usize::try_from(len.div_ceil(CLUSTER)).map_err(io::Error::other)?];
    let mut at = 0;
    while let Some((start, end)) = next_data(file, at, len)? {
        for cluster in start / CLUSTER..end.div_ceil(CLUSTER) {
            let index = usize::try_from(cluster).map_err(io::Error::other)?;
            if !used[index] {
                used[index] = holds_something(file, cluster * CLUSTER, len)?;
            }
        }
        at = end;
    }
    Ok(used)
}

/// The next extent of data; the file system may tell more than there is, but not less.
fn next_data(file: &File, at: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= len {
        return Ok(None);
    }
    let from = i64::try_from(at).map_err(io::Error::other)?;
    let start = match lseek(file, from, Whence::SeekData) {
        Ok(start) => start,
        Err(Errno::ENXIO) => return Ok(None),
        // A file system without holes.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(Some((at, len))),
        Err(error) => return Err(error.into()),
    };
    let end = lseek(file, start, Whence::SeekHole)?;
    // Positions in a file are not negative.
    Ok(Some((start.unsigned_abs(), end.unsigned_abs().min(len))))
}

fn holds_something(file: &File, at: u64, len: u64) -> io::Result<bool> {
    static ZEROS: [u8; CLUSTER as usize] = [0; CLUSTER as usize];
    let mut buffer = [0; CLUSTER as usize];
    let count = usize::try_from((len - at).min(CLUSTER)).unwrap_or_default();
    // The first page tells it nearly always.
    let head = count.min(4096);
    file.read_exact_at(&mut buffer[..head], at)?;
    if buffer[..head] != ZEROS[..head] {
        return Ok(true);
    }
    file.read_exact_at(&mut buffer[head..count], at + head as u64)?;
    Ok(buffer[head..count] != ZEROS[head..count])
}

/// The runs of used clusters.
fn runs(used: &[bool]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + used.get(at..)?.iter().position(|u| *u)?;
        let end = used[start..].iter().position(|u| !*u).map_or(used.len(), |n| start + n);
        at = end;
        Some(start..end)
    })
}

/// Everything but the data.
fn metadata(out: &File, len: u64, used: &[bool], layout: &Layout) -> io::Result<()> {
    let tables = |from: u64, count: u64| (from..from + count).map(|cluster| cluster * CLUSTER);
    let entries = |entries: &mut dyn Iterator<Item = u64>| entries.flat_map(u64::to_be_bytes).collect::<Vec<u8>>();

    out.write_all_at(&header(len, layout), 0)?;
    let blocks = entries(&mut tables(layout.refcount_blocks_at(), layout.refcount_blocks));
    out.write_all_at(&blocks, CLUSTER)?;
    // Each cluster of the file is used once.
    let ones = 1_u16.to_be_bytes().repeat(usize::try_from(layout.total).map_err(io::Error::other)?);
    out.write_all_at(&ones, layout.refcount_blocks_at() * CLUSTER)?;

    let mut l2_next = tables(layout.l2_at(), layout.l2);
    let l1 = entries(&mut layout.l2_used.iter().map(|used| match used {
        true => l2_next.next().unwrap_or_default() | COPIED,
        false => 0,
    }));
    out.write_all_at(&l1, layout.l1_at() * CLUSTER)?;

    let mut data_next = layout.data_at();
    let with_table = used.chunks(PER_L2 as usize).filter(|chunk| chunk.contains(&true));
    for (l2_at, chunk) in (layout.l2_at()..).zip(with_table) {
        let l2 = entries(&mut chunk.iter().map(|used| {
            let entry = if *used { (data_next * CLUSTER) | COPIED } else { 0 };
            data_next += u64::from(*used);
            entry
        }));
        out.write_all_at(&l2, l2_at * CLUSTER)?;
    }
    Ok(())
}

fn header(len: u64, layout: &Layout) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER as usize + 8);
    let u32s = |header: &mut Vec<u8>, n: u32| header.extend_from_slice(&n.to_be_bytes());
    let u64s = |header: &mut Vec<u8>, n: u64| header.extend_from_slice(&n.to_be_bytes());
    header.extend_from_slice(b"QFI\xfb");
    u32s(&mut header, 3); // version
    u64s(&mut header, 0); // no backing file
    u32s(&mut header, 0);
    u32s(&mut header, CLUSTER_BITS);
    u64s(&mut header, len);
    u32s(&mut header, 0); // not encrypted
    // A disk of 2^32 entries would be 2^61 bytes large.
    u32s(&mut header, u32::try_from(layout.l1_entries).unwrap_or(u32::MAX));
    u64s(&mut header, layout.l1_at() * CLUSTER);
    u64s(&mut header, CLUSTER); // the table of reference blocks
    u32s(&mut header, u32::try_from(layout.refcount_table).unwrap_or(u32::MAX));
    u32s(&mut header, 0); // no snapshots
    u64s(&mut header, 0);
    u64s(&mut header, 0); // no incompatible features,
    u64s(&mut header, 0); // no compatible ones,
    u64s(&mut header, 0); // none that another program must clear
    u32s(&mut header, 4); // reference counts of 2^4 bits
    u32s(&mut header, HEADER);
    header.extend_from_slice(&[0; 8]); // no extensions
    header
}
