//! The images that a build writes, and the memory of those that are there already.
//!
//! For each image that was written the cache remembers what it was made from and what `stat` said of it. As long as both
//! are the same there is nothing to do; whoever touches the image or its inputs gets it written anew.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_process::Report;
use image_builder::image::Image;
use image_builder::output::NewFile;
use image_builder::qcow2;

use crate::args::Format;
use crate::cache;

/// What is to be there in the end.
pub struct Wanted<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// The images' name, without the format.
    pub name: &'a str,
    /// The formats.
    pub formats: &'a [Format],
    /// What the images follow from.
    pub key: &'a str,
    /// Plans the image.
    pub plan: &'a dyn Fn() -> anyhow::Result<Image>,
}

/// Writes what is not there, and gives the paths of all in the order of the formats.
pub fn write(wanted: &Wanted<'_>, report: &dyn Report) -> anyhow::Result<Vec<PathBuf>> {
    let path = |format: Format| wanted.folder.join(format!("{}.{}", wanted.name, extension(format)));
    let missing: Vec<Format> =
        wanted.formats.iter().copied().filter(|format| !is_there(&path(*format), wanted.key)).collect();
    if missing.is_empty() {
        report.note("nothing has changed");
    } else {
        make(wanted, &missing, &path, report)?;
    }
    Ok(wanted.formats.iter().map(|format| path(*format)).collect())
}

fn make(
    wanted: &Wanted<'_>,
    missing: &[Format],
    path: &dyn Fn(Format) -> PathBuf,
    report: &dyn Report,
) -> anyhow::Result<()> {
    let raw = path(Format::Raw);
    // Names that are taken by something else are found before the work begins.
    let outputs = missing.iter().map(|f| Ok((*f, NewFile::create(&path(*f))?))).collect::<anyhow::Result<Vec<_>>>()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let own;
    let written;
    let source = match outputs.iter().find(|(format, _)| *format == Format::Raw) {
        Some((_, new)) => {
            (wanted.plan)()?.write_to(new, &raw, threads, report)?;
            new.file()
        }
        None if is_there(&raw, wanted.key) => {
            written = std::fs::File::open(&raw).with_context(|| format!("opening {}", raw.display()))?;
            &written
        }
        None => {
            own = NewFile::create(&raw)?;
            (wanted.plan)()?.write_to(&own, &raw, threads, report)?;
            own.file()
        }
    };
    for (format, new) in &outputs {
        if *format == Format::Qcow2 {
            report.phase("writing qcow2", None);
            qcow2::convert((source, &raw), (new.file(), &path(*format)), report)?;
        }
    }
    for (format, new) in outputs {
        new.commit()?;
        remember(&path(format), wanted.key)?;
    }
    Ok(())
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Raw => "raw",
        Format::Qcow2 => "qcow2",
    }
}

/// Whether the file is the one that was written from these inputs, untouched since.
fn is_there(path: &Path, key: &str) -> bool {
    let known = memory(path).ok().and_then(|memory| std::fs::read_to_string(memory).ok());
    known.is_some() && known == describe(path, key)
}

fn remember(path: &Path, key: &str) -> anyhow::Result<()> {
    let memory = memory(path)?;
    let write = || -> std::io::Result<()> {
        let folder = memory.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, describe(path, key).unwrap_or_default().as_bytes())?;
        file.persist(&memory)?;
        Ok(())
    };
    write().with_context(|| format!("writing {}", memory.display()))
}

/// The name of the memory: one for each place of an image.
fn memory(path: &Path) -> anyhow::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, whole.as_os_str().as_encoded_bytes());
    Ok(cache::folder()?.join("outputs").join(name.to_string()))
}

fn describe(path: &Path, key: &str) -> Option<String> {
    let m = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
    let changed = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    Some(format!("{key}\n{} {} {} {changed:?}\n", m.dev(), m.ino(), m.len()))
}
