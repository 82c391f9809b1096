//! The medium's payload: a squashfs with a store in which the medium's own system is, and all from which others are made.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use cairn_disk::ext4::Folders;
use cairn_disk::medium::PAGE;
use cairn_disk::verity::{HashTree, hash_tree};
use cairn_disk::{Content, Node, Tree};
use cairn_process::Report;
use cairn_system::base_program;

/// What of zstd: three hundredths more would cost seven times the time.
const LEVEL: &str = "9";

/// The payload, in a file that has no name.
#[derive(Debug)]
pub struct Payload {
    /// The squashfs with its hashes behind it.
    pub file: File,
    /// Their lengths.
    pub lengths: (u64, u64),
    /// The hashes' root.
    pub root: [u8; 32],
}

/// Makes it of a tree, by the `mksquashfs` of a base, so that nothing of this machine counts.
///
/// # Errors
/// A base without that program; what reading, writing and the program say.
pub fn payload(tree: &Tree, base: &Path, epoch: i64, scratch: &Path, report: &dyn Report) -> anyhow::Result<Payload> {
    report.phase("compressing the payload", None);
    let path = scratch.join("payload");
    let tool = base_program(base, "usr/bin/mksquashfs", "squashfs-tools", "compress the medium's payload")?
        .args(["-", &path.display().to_string(), "-tar", "-noappend", "-no-progress", "-quiet", "-no-xattrs"])
        .args(["-comp", "zstd", "-Xcompression-level", LEVEL, "-mkfs-time", &epoch.to_string()])
        // Of an archive's own root it takes nothing: without this the time would be now.
        .args(["-root-mode", "0755", "-root-uid", "0", "-root-gid", "0", "-root-time", &epoch.to_string()]);
    let mut running = tool.start(Stdio::piped(), Stdio::null()).context("compressing the payload")?;
    let archived = match running.take_stdin() {
        Some(pipe) => archive(tree, BufWriter::with_capacity(1 << 20, pipe)),
        None => Ok(()),
    };
    // What the program says explains a pipe that broke.
    running.wait().context("compressing the payload")?;
    archived.context("reading what goes onto the medium")?;

    report.phase("hashing the payload", None);
    let mut file = File::options().read(true).write(true).open(&path).context("opening the payload")?;
    std::fs::remove_file(&path).context("removing the payload's name")?;
    let len = file.metadata().context("looking at the payload")?.len().next_multiple_of(PAGE);
    file.set_len(len).context("padding the payload")?;
    file.rewind().context("reading the payload")?;
    let HashTree { root, bytes } =
        hash_tree(BufReader::with_capacity(1 << 20, &file)).context("hashing the payload")?;
    file.write_all(&bytes).context("writing the payload's hashes")?;
    Ok(Payload { lengths: (len, bytes.len() as u64), file, root })
}

/// The tree as an archive.
fn archive(tree: &Tree, to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let header = |mode: u32, (uid, gid): (u32, u32), mtime: i64, kind, size| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(u64::try_from(mtime).unwrap_or(0));
        header.set_entry_type(kind);
        header.set_size(size);
        header
    };
    let mut folders = Folders::default();
    for entry in tree.entries() {
        let owner = (entry.uid, entry.gid);
        let mode = entry.mode.into();
        match &entry.node {
            Node::Dir => {
                let mut header = header(mode, owner, entry.mtime, tar::EntryType::Directory, 0);
                archive.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
            }
            Node::File { len, content } => {
                let mut header = header(mode, owner, entry.mtime, tar::EntryType::Regular, *len);
                match content {
                    Content::Bytes(bytes) => archive.append_data(&mut header, &entry.path, bytes.as_slice())?,
                    // No more than was promised: the archive's next header has its place.
                    Content::Path(path) => {
                        let file = folders.open(path)?;
                        if file.metadata()?.len() != *len {
                            return Err(io::Error::other(format!("{} has changed", path.display())));
                        }
                        archive.append_data(&mut header, &entry.path, file.take(*len))?;
                    }
                }
            }
            Node::Symlink(target) => {
                let mut header = header(mode, owner, entry.mtime, tar::EntryType::Symlink, 0);
                archive.append_link(&mut header, &entry.path, target)?;
            }
            Node::Hardlink(of) => {
                let Some(first) = tree.entries().get(*of) else { continue };
                let mut header = header(mode, owner, first.mtime, tar::EntryType::Link, 0);
                archive.append_link(&mut header, &entry.path, &first.path)?;
            }
        }
    }
    archive.into_inner()?.flush()
}
