//! The images that a build writes.
//!
//! As long as what an image was made from is the same, and the image untouched, there is nothing to do. Else everything that can fail
//! comes before anything is replaced: what stands there is judged, the new images are written without a name, what stands there is
//! judged again, and what then has lost its name is looked at once more before it goes.

mod memory;
pub mod standing;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::image::{Format, qcow2};
use cairn_disk::output::{NewFile, OutputError, Placed, check_folder, prepare_folder};
use cairn_make::{NewDisk, Prepared};
use cairn_process::{Refusal, Report};
use uuid::Uuid;

use crate::image;
use memory::{Memory, Stamp};
use standing::{Rules, Standing, judge, who_writes};

/// Where the images of a machine are to be.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// The images' name, without the format.
    pub name: &'a str,
    /// The formats.
    pub formats: &'a [Format],
    /// The machine's seed.
    pub seed: Uuid,
    /// What may be replaced.
    pub rules: Rules,
    /// Where it is remembered what was written.
    pub cache: &'a Path,
}

/// What is to be there in the end.
struct Wanted<'a> {
    /// Where.
    places: Places<'a>,
    /// What the images follow from.
    key: &'a str,
    /// The number of the newest generation.
    newest: u64,
    /// Plans the disk.
    plan: &'a dyn Fn() -> anyhow::Result<NewDisk>,
}

impl Places<'_> {
    fn path(&self, format: Format) -> PathBuf {
        self.folder.join(format!("{}.{}", self.name, format.name()))
    }

    /// Refuses what surely will be refused, before anything is made: a base takes minutes.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn check(&self) -> anyhow::Result<()> {
        check_folder(self.folder)?;
        self.formats.iter().try_for_each(|format| self.judge(*format, None).map(drop))
    }

    fn judge(&self, format: Format, key: Option<&str>) -> anyhow::Result<Standing> {
        judge(&self.path(format), self, key)
    }
}

/// Writes the images of a machine that are not there yet, and gives the paths of all in the order of the formats.
///
/// # Errors
/// What is in the way, and what making and writing meet.
pub fn write_images(
    machine: &Prepared,
    folder: &Path,
    formats: &[Format],
    rules: Rules,
    cache: &Path,
    report: &dyn Report,
) -> anyhow::Result<Vec<PathBuf>> {
    prepare_folder(folder)?;
    let checked = &machine.newest().checked;
    let (name, seed) = (&checked.machine.hostname, checked.seed());
    let places = Places { folder, name, formats, seed, rules, cache };
    let key = machine.contents().key();
    write(&Wanted { places, newest: machine.count(), key: &key, plan: &|| machine.plan() }, report)
}

fn write(wanted: &Wanted<'_>, report: &dyn Report) -> anyhow::Result<Vec<PathBuf>> {
    let places = &wanted.places;
    let mut missing = Vec::new();
    for format in places.formats {
        if !places.judge(*format, Some(wanted.key))?.is_current(wanted.key) {
            missing.push(*format);
        }
    }
    if missing.is_empty() {
        report.note("nothing has changed");
    } else {
        make(wanted, &missing, report)?;
    }
    Ok(places.formats.iter().map(|format| places.path(*format)).collect())
}

fn write_raw(wanted: &Wanted<'_>, new: &NewFile, raw: &Path, report: &dyn Report) -> anyhow::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let disk = (wanted.plan)()?;
    image::write_raw(&disk, new, raw, threads, report)?;
    // It has as many parts as the disk has files. Nobody waits until all of them are given back.
    let _ = std::thread::Builder::new().spawn(move || drop(disk));
    Ok(())
}

fn make(wanted: &Wanted<'_>, missing: &[Format], report: &dyn Report) -> anyhow::Result<()> {
    let places = &wanted.places;
    let path = |format| places.path(format);
    let raw = path(Format::Raw);
    // Names that are taken by something else are found before the work begins.
    let outputs = missing.iter().map(|f| Ok((*f, NewFile::create(&path(*f))?))).collect::<anyhow::Result<Vec<_>>>()?;
    let own;
    let written;
    let source = match outputs.iter().find(|(format, _)| *format == Format::Raw) {
        Some((_, new)) => {
            write_raw(wanted, new, &raw, report)?;
            new.file()
        }
        None if is_there(&raw, wanted) => {
            written = File::open(&raw).with_context(|| format!("opening {}", raw.display()))?;
            &written
        }
        None => {
            // It gets no name, so whatever stands under this one is of no importance.
            own = NewFile::create(&path(Format::Qcow2))?;
            write_raw(wanted, &own, &raw, report)?;
            own.file()
        }
    };
    for (format, new) in &outputs {
        if *format == Format::Qcow2 {
            report.phase("writing qcow2", None);
            qcow2::convert((source, &raw), (new.file(), &path(*format)), report)?;
        }
    }
    commit(wanted, outputs, report)
}

/// Gives all of them their names, or none.
fn commit(wanted: &Wanted<'_>, outputs: Vec<(Format, NewFile)>, report: &dyn Report) -> anyhow::Result<()> {
    let places = &wanted.places;
    // Two builds of one image would each find the other's: one after the other.
    let _turn = turn(&places.folder.join(places.name), places.cache)?;
    let mut to_place = Vec::new();
    for (format, new) in outputs {
        let path = places.path(format);
        let standing = places.judge(format, Some(wanted.key))?;
        if standing.is_current(wanted.key) {
            continue;
        }
        if let Standing::Unknown(known, stamp) = &standing {
            report.phase("comparing with the image that is there", None);
            if !same_bytes(new.file(), &path)? || Stamp::of(&path).ok().as_ref() != Some(stamp) {
                return Err(Refusal(format!("{known}; {}", places.rules.way_out)).into());
            }
            Memory::new(wanted.key, places.seed, wanted.newest, stamp).write(&path, places.cache)?;
            continue;
        }
        to_place.push((path, new, standing));
    }
    let before: Vec<Before> = to_place.iter().filter_map(|(path, ..)| Before::of(path, places.cache)).collect();
    match place_all(wanted, to_place) {
        // The old ones are nobody's yet: one that stays beside the new one is told, and the others go all the same.
        Ok(placed) => placed.into_iter().map(Placed::keep).fold(Ok(()), Result::and).map_err(anyhow::Error::from),
        Err(error) => {
            before.iter().for_each(|before| before.remember_again(places.cache));
            Err(error)
        }
    }
}

/// Gives all their names and remembers them; when one of these things fails, all is taken back.
fn place_all(wanted: &Wanted<'_>, to_place: Vec<(PathBuf, NewFile, Standing)>) -> anyhow::Result<Vec<Placed>> {
    let places = &wanted.places;
    let mut placed = Vec::new();
    for (path, new, standing) in to_place {
        placed.push(place(path, new, &standing, places.rules)?);
    }
    for (path, _, bytes) in &placed {
        // Somebody may have started a machine from it in this moment; then it is not as it was written.
        if let Ok(stamp) = Stamp::of(path)
            && stamp.same_bytes(bytes)
        {
            Memory::new(wanted.key, places.seed, wanted.newest, &stamp).write(path, places.cache)?;
        }
    }
    Ok(placed.into_iter().map(|(_, placed, _)| placed).collect())
}

/// An untouched image that may get its name back.
struct Before {
    path: PathBuf,
    memory: Memory,
    stamp: Stamp,
}

impl Before {
    fn of(path: &Path, cache: &Path) -> Option<Before> {
        let stamp = Stamp::of(path).ok()?;
        let memory = Memory::of(path, cache).filter(|memory| memory.vouches_for(&stamp))?;
        Some(Before { path: path.into(), memory, stamp })
    }

    /// To take its name and to give it back has changed the image's times, and not its bytes. What cannot be remembered is asked
    /// about next time; there is an error to be told already.
    fn remember_again(&self, cache: &Path) {
        if let Ok(now) = Stamp::of(&self.path)
            && now.same_bytes(&self.stamp)
        {
            let _ = self.memory.moved(&now).write(&self.path, cache);
        }
    }
}

/// Gives a new file its name; what it has replaced must be what was judged. Taken back when the result is dropped.
fn place(path: PathBuf, new: NewFile, standing: &Standing, rules: Rules) -> anyhow::Result<(PathBuf, Placed, Stamp)> {
    let now = |what: &str| Refusal(format!("{} {what} just now; {}", path.display(), rules.way_out));
    let placed = match standing.stamp() {
        None => new.place_new().map_err(|error| match error {
            OutputError::Appeared { .. } => now("has appeared").into(),
            other => anyhow::Error::from(other),
        })?,
        Some(stamp) => {
            let placed = new.place()?;
            if let Some(old) = placed.replaced() {
                if let Some(who) = who_writes(old) {
                    return Err(now(&format!("has come into use ({who})")).into());
                }
                if !Stamp::of(old).is_ok_and(|old| old.same_bytes(stamp)) {
                    return Err(now("has changed").into());
                }
            }
            placed
        }
    };
    let bytes = Stamp::of(&path).with_context(|| format!("looking at {}", path.display()))?;
    Ok((path, placed, bytes))
}

fn same_bytes(new: &File, path: &Path) -> anyhow::Result<bool> {
    let read = || -> std::io::Result<bool> {
        let old = File::open(path)?;
        let len = new.metadata()?.len();
        if old.metadata()?.len() != len {
            return Ok(false);
        }
        let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        let mut at = 0;
        while at < len {
            let count = usize::try_from((len - at).min(1 << 20)).unwrap_or_default();
            new.read_exact_at(&mut a[..count], at)?;
            old.read_exact_at(&mut b[..count], at)?;
            if a[..count] != b[..count] {
                return Ok(false);
            }
            at += count as u64;
        }
        Ok(true)
    };
    read().with_context(|| format!("reading {}", path.display()))
}

/// Held while the images of one name get it.
fn turn(path: &Path, cache: &Path) -> anyhow::Result<File> {
    let path = memory::place(path, cache)?.with_extension("lock");
    let take = || -> std::io::Result<File> {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    take().with_context(|| format!("locking {}", path.display()))
}

/// Whether the file is the one that was written from these inputs, untouched since.
fn is_there(path: &Path, wanted: &Wanted<'_>) -> bool {
    let stamp = Stamp::of(path).ok();
    let memory = Memory::of(path, wanted.places.cache);
    memory.zip(stamp).is_some_and(|(memory, stamp)| memory.vouches_for(&stamp) && memory.is_current(wanted.key))
}

#[cfg(test)]
mod tests;
