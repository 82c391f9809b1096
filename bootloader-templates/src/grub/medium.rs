//! The menu of the installation medium.

use serde::Serialize;

use super::quote::{path, words};
use crate::render::{TemplateError, printable, refuse, render};

/// The folder of the menu on the medium: the one in which Debian's signed GRUB for CDs looks.
pub const MEDIUM_FOLDER: &str = "/boot/grub";

/// The menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediumMenu {
    /// The volume id of the medium's EFI system partition, such as `1A2B-3C4D`.
    pub uuid: String,
    /// What the first entry is called.
    pub title: String,
    /// The kernel and its initrd, by their paths there.
    pub linux: String,
    /// See there.
    pub initrd: String,
    /// The kernel's command line.
    pub words: Vec<String>,
    /// The memory test for UEFI and for a BIOS, where they are there.
    pub memtest_efi: Option<String>,
    /// See there.
    pub memtest_bios: Option<String>,
}

#[derive(Serialize)]
struct Page<'a> {
    uuid: &'a str,
    title: &'a str,
    linux: &'a str,
    initrd: &'a str,
    words: Vec<String>,
    memtest_efi: Option<&'a str>,
    memtest_bios: Option<&'a str>,
}

impl MediumMenu {
    /// The text of `grub.cfg`.
    ///
    /// # Errors
    /// What a menu cannot carry.
    pub fn render(&self) -> Result<String, TemplateError> {
        volume_id(&self.uuid)?;
        printable("title", &self.title)?;
        path("linux", &self.linux)?;
        path("initrd", &self.initrd)?;
        for memtest in [&self.memtest_efi, &self.memtest_bios].into_iter().flatten() {
            path("memtest", memtest)?;
        }
        render(
            "grub/medium.cfg",
            Page {
                uuid: &self.uuid,
                title: &self.title,
                linux: &self.linux,
                initrd: &self.initrd,
                words: words("words", &self.words)?,
                memtest_efi: self.memtest_efi.as_deref(),
                memtest_bios: self.memtest_bios.as_deref(),
            },
        )
    }
}

/// What leads to the menu from elsewhere: from the core image, from the CD's own file system; and, `in_file`, from somebody else's GRUB that has opened
/// the medium as a file and says in `iso_path` where (`loopback.cfg`, as multi-boot sticks use it).
///
/// # Errors
/// What is no volume id.
pub fn to_medium_menu(uuid: &str, in_file: bool) -> Result<String, TemplateError> {
    #[derive(Serialize)]
    struct First<'a> {
        uuid: &'a str,
        folder: &'a str,
        in_file: bool,
    }
    volume_id(uuid)?;
    render("grub/medium-first.cfg", First { uuid, folder: MEDIUM_FOLDER, in_file })
}

fn volume_id(id: &str) -> Result<(), TemplateError> {
    let is_part = |(i, c): (usize, char)| if i == 4 { c == '-' } else { c.is_ascii_hexdigit() };
    if id.len() == 9 && id.char_indices().all(is_part) {
        return Ok(());
    }
    refuse("uuid", "no volume id of a FAT file system", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    // templates/grub/medium.cfg and templates/grub/medium-first.cfg
    #[test]
    fn every_entry_says_where_the_medium_is() {
        let menu = MediumMenu {
            uuid: "1A2B-3C4D".into(),
            title: "Install 'Debian'".into(),
            linux: "/linux".into(),
            initrd: "/initrd".into(),
            words: vec!["init=/nix/store/x/init".into(), "cairn.medium=ab quiet".into()],
            memtest_efi: Some("/memtest.efi".into()),
            memtest_bios: None,
        };
        let text = menu.render().unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.trim().starts_with("linux ")).collect();
        assert_eq!(lines.len(), 5, "{text}");
        for line in lines {
            assert!(line.starts_with("  linux '/linux' 'init=/nix/store/x/init' 'cairn.medium=ab' 'quiet'"), "{line}");
            assert!(line.ends_with(" $cairn_where"), "{line}");
        }
        assert!(text.contains("menuentry 'Install '\\''Debian'\\''' --id install {"), "{text}");
        assert!(!text.contains("linux '/memtest"), "{text}");
        let first = to_medium_menu("1A2B-3C4D", true).unwrap();
        // Its modules are where its prefix says.
        assert!(first.contains("findiso=$iso_path") && !first.contains("prefix"), "{first}");
        assert!(first.find("insmod part_gpt") < first.find("search "), "{first}");
        let own = to_medium_menu("1A2B-3C4D", false).unwrap();
        assert!(!own.contains("findiso") && own.contains("set prefix=($root)/boot/grub\n"), "{own}");
        for text in [first, own] {
            assert!(text.contains("  configfile ($root)/boot/grub/grub.cfg\nfi\n"), "{text}");
        }
        assert!(to_medium_menu("x", false).is_err());
    }
}
