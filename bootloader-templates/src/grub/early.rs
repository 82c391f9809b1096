//! The script in the core image, which finds the menu.

use serde::Serialize;

use super::quote::path;
use crate::render::{TemplateError, refuse, render};

/// What the core image itself executes: only the simplest of scripts, so it hands over to [`SCRIPT`], which may have
/// conditions, in the archive that the image carries. `normal`, unlike `configfile`, makes a menu that Escape does not
/// leave.
pub const EMBEDDED: &str = "normal (memdisk)/early.cfg\n";

/// The name in the core image's archive under which [`EMBEDDED`] looks for the script of [`Early::render`].
pub const SCRIPT: &str = "early.cfg";

/// Where the menu is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Early {
    /// The boot partition's FAT volume id, such as `1A2B-3C4D`. Nothing where somebody else has made the partition: it is found by
    /// the menu on it then.
    pub uuid: Option<String>,
    /// The folder of `grub.cfg`, `grub.old` and `grubenv`, such as `/cairn/0123abcd/grub`.
    pub folder: String,
}

impl Early {
    /// The text of the script.
    ///
    /// # Errors
    /// What is no volume id, or no plain absolute path.
    pub fn render(&self) -> Result<String, TemplateError> {
        self.check()?;
        render("grub/early.cfg", self)
    }

    fn check(&self) -> Result<(), TemplateError> {
        let is_id = |id: &str| {
            let is_part = |(i, c): (usize, char)| if i == 4 { c == '-' } else { c.is_ascii_hexdigit() };
            id.len() == 9 && id.char_indices().all(is_part)
        };
        if let Some(uuid) = self.uuid.as_ref().filter(|uuid| !is_id(uuid)) {
            return refuse("uuid", "no volume id of a FAT file system", uuid);
        }
        path("folder", &self.folder)?;
        // It becomes a part of $prefix, and this of a great many paths.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if !self.folder.chars().all(plain) || self.folder.ends_with('/') {
            return refuse("folder", "something else than letters, digits and /-_.", &self.folder);
        }
        Ok(())
    }

    /// The same for Debian's signed GRUB, whose own script is built in and reads this one. It is short: it must fit into one
    /// sector.
    ///
    /// # Errors
    /// As [`Early::render`].
    pub fn render_stub(&self) -> Result<String, TemplateError> {
        self.check()?;
        render("grub/stub.cfg", self)
    }
}
