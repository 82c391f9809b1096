//! What a system in a machine's store says of itself. A generation needs its bootspec, for without that it has no entry in the
//! menu; everything else about it may be missing, as in a system that NixOS has made.

use std::path::Path;

use cairn_boot::bootspec::{self, BootspecError, Bootspecs};
use cairn_store::StorePath;

use crate::view::{Files, Kind, ViewError};

/// Nobody's host name, and no kernel's release, is longer.
const MOST_TEXT: u64 = 4096;

/// The link to what of the boot loader was made with a system; with GRUB only.
pub const LOADER: &str = "loader";

/// A system as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemFacts {
    /// What boots, by a sound bootspec.
    pub boots: Option<Bootspecs>,
    /// Why it cannot be booted.
    pub problem: Option<String>,
    /// Whether anything of it is there.
    pub exists: bool,
    /// The packages that it was made from.
    pub base: Option<StorePath>,
    /// What of the boot loader was made with it.
    pub loader: Option<StorePath>,
    /// Its folder of configuration files.
    pub etc: Option<StorePath>,
    /// The kernel's release.
    pub kernel_release: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
}

impl SystemFacts {
    fn nothing(why: String) -> SystemFacts {
        SystemFacts {
            boots: None,
            problem: Some(why),
            exists: false,
            base: None,
            loader: None,
            etc: None,
            kernel_release: None,
            hostname: None,
        }
    }
}

/// Looks at the system at a path. What of it cannot be read is missing, for that is no reason not to look at the others.
///
/// # Errors
/// What reading a disk meets that is damaged, and what would take for ever.
pub fn facts(files: &dyn Files, system: &str) -> Result<SystemFacts, ViewError> {
    let Ok(path) = StorePath::from_absolute(system) else {
        return Ok(SystemFacts::nothing(format!("its link leads to {system}, which is no store path")));
    };
    match files.kind(system) {
        Ok(None) => return Ok(SystemFacts::nothing("its system is gone from the store".into())),
        Err(ViewError::Io { source, .. }) => {
            return Ok(SystemFacts::nothing(format!("its system cannot be looked at: {source}")));
        }
        other => drop(other?),
    }
    let link = |name: &str| -> Result<Option<StorePath>, ViewError> {
        let target = readable(files.link(&format!("{path}/{name}")))?;
        Ok(target.and_then(|target| StorePath::from_absolute(&target).ok()))
    };
    let base = link("base")?;
    let (boots, problem) = match bootspecs(files, system)? {
        Ok(boots) => {
            let missing = missing(files, &boots)?;
            (Some(boots), missing)
        }
        Err(why) => (None, Some(why)),
    };
    Ok(SystemFacts {
        boots,
        problem,
        exists: true,
        loader: link(LOADER)?,
        etc: link("etc")?,
        kernel_release: kernel_release(files, system, base.as_ref())?,
        hostname: line(files, &format!("{system}/etc/hostname"))?,
        base,
    })
}

/// The bootspec, or why there is none.
fn bootspecs(files: &dyn Files, system: &str) -> Result<Result<Bootspecs, String>, ViewError> {
    let file = format!("{system}/{}", bootspec::FILE);
    let damaged = || Ok(Err(format!("its {} is damaged", bootspec::FILE)));
    let bytes = match files.read(&file, bootspec::MOST) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Err(format!("it has no {}", bootspec::FILE))),
        Err(ViewError::TooLarge { .. }) => return damaged(),
        Err(ViewError::Io { source, .. }) => {
            return Ok(Err(format!("its {} cannot be read: {source}", bootspec::FILE)));
        }
        Err(other) => return Err(other),
    };
    match bootspec::parse(&bytes, Path::new(&file)) {
        Ok(boots) => Ok(Ok(boots)),
        Err(error @ BootspecError::NotInStore { .. }) => Ok(Err(error.to_string())),
        Err(_) => damaged(),
    }
}

/// What of the files that a bootspec names cannot be booted.
fn missing(files: &dyn Files, boots: &Bootspecs) -> Result<Option<String>, ViewError> {
    // All of them are plain paths in the store, or the bootspec would be none.
    for path in boots.files().filter_map(Path::to_str) {
        match files.kind(path) {
            Ok(Some(Kind::File)) => {}
            Ok(Some(_)) => return Ok(Some(format!("{path} is no file"))),
            Ok(None) => return Ok(Some(format!("{path} is gone from the store"))),
            Err(ViewError::Io { source, .. }) => return Ok(Some(format!("{path} cannot be looked at: {source}"))),
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// The release of a system's kernel. A base has it written down; in a system of NixOS the modules' folder has its name.
fn kernel_release(files: &dyn Files, system: &str, base: Option<&StorePath>) -> Result<Option<String>, ViewError> {
    let top = base.map_or_else(|| system.to_string(), ToString::to_string);
    if let Some(written) = line(files, &format!("{top}/kernel-release"))? {
        return Ok(Some(written));
    }
    let modules = readable(files.list(&format!("{system}/kernel-modules/lib/modules")))?;
    Ok(modules.and_then(|names| names.into_iter().next()))
}

/// The text of a file of one line; nothing where that is none.
fn line(files: &dyn Files, path: &str) -> Result<Option<String>, ViewError> {
    let text = readable(files.read(path, MOST_TEXT))?;
    let text = text.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_string());
    Ok(text.filter(|text| !text.is_empty()))
}

/// What cannot be read is not there.
fn readable<T>(found: Result<Option<T>, ViewError>) -> Result<Option<T>, ViewError> {
    match found {
        Err(ViewError::Io { .. } | ViewError::TooLarge { .. }) => Ok(None),
        other => other,
    }
}
