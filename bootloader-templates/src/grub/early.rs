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
    /// The boot partition's FAT volume id, such as `1A2B-3C4D`.
    pub uuid: String,
    /// The folder of `grub.cfg`, `grub.old` and `grubenv`, such as `/cairn/0123abcd/grub`.
    pub folder: String,
}

impl Early {
    /// The text of the script.
    ///
    /// # Errors
    /// What is no volume id, or no plain absolute path.
    pub fn render(&self) -> Result<String, TemplateError> {
        let well_formed = self.uuid.len() == 9
            && self.uuid.char_indices().all(|(i, c)| if i == 4 { c == '-' } else { c.is_ascii_hexdigit() });
        if !well_formed {
            return refuse("uuid", "no volume id of a FAT file system", &self.uuid);
        }
        path("folder", &self.folder)?;
        // It becomes a part of $prefix, and this of a great many paths.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if !self.folder.chars().all(plain) || self.folder.ends_with('/') {
            return refuse("folder", "something else than letters, digits and /-_.", &self.folder);
        }
        render("grub/early.cfg", self)
    }
}
