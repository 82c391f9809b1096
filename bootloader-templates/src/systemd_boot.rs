//! systemd-boot: Boot Loader Specification entries and `loader.conf`.

use serde::Serialize;

use crate::render::{TemplateError, one_line, render};

/// One menu entry (Boot Loader Specification, type #1). Paths are absolute on the partition that holds the entry.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The line in the menu.
    pub title: String,
    /// What entries of one sort key are ordered by, newest first: the generation's number.
    pub version: String,
    /// Entries are grouped by this; lower-case.
    pub sort_key: String,
    /// The kernel.
    pub linux: String,
    /// The initrd, if there is one.
    pub initrd: Option<String>,
    /// The kernel's parameters, one each.
    pub options: Vec<String>,
}

impl Entry {
    /// The text of the entry's file.
    ///
    /// # Errors
    /// A value that does not fit on one line of the file.
    pub fn render(&self) -> Result<String, TemplateError> {
        one_line("title", &self.title)?;
        one_line("version", &self.version)?;
        one_line("sort-key", &self.sort_key)?;
        one_line("linux", &self.linux)?;
        if let Some(initrd) = &self.initrd {
            one_line("initrd", initrd)?;
        }
        for option in &self.options {
            one_line("options", option)?;
        }
        render("systemd-boot/entry.conf", self)
    }
}

/// `loader.conf`.
#[derive(Debug, Clone, Serialize)]
pub struct LoaderConf {
    /// Seconds that the menu is shown; 0 hides it.
    pub timeout: u32,
}

impl LoaderConf {
    /// The text of the file.
    ///
    /// # Errors
    /// When the template is wrong.
    pub fn render(&self) -> Result<String, TemplateError> {
        render("systemd-boot/loader.conf", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            title: "hello, generation 1 (Linux 6.12.107, 2026-11-15)".into(),
            version: "1".into(),
            sort_key: "cairn".into(),
            linux: "/cairn/a1/k-vmlinuz".into(),
            initrd: Some("/cairn/a1/i-initrd".into()),
            options: vec!["root=UUID=x".into(), "init=/nix/store/s/init".into(), "quiet".into()],
        }
    }

    // Golden of templates/systemd-boot/entry.conf.
    #[test]
    fn an_entry_names_its_kernel_last() {
        assert_eq!(
            entry().render().unwrap(),
            "title hello, generation 1 (Linux 6.12.107, 2026-11-15)\nversion 1\nsort-key cairn\n\
             initrd /cairn/a1/i-initrd\noptions root=UUID=x init=/nix/store/s/init quiet\nlinux /cairn/a1/k-vmlinuz\n"
        );
    }

    #[test]
    fn an_entry_without_an_initrd_has_no_such_line() {
        let text = Entry { initrd: None, ..entry() }.render().unwrap();
        assert!(!text.contains("initrd"), "{text}");
    }

    // Golden of templates/systemd-boot/loader.conf.
    #[test]
    fn the_loader_gets_no_default() {
        assert_eq!(LoaderConf { timeout: 3 }.render().unwrap(), "timeout 3\neditor no\n");
    }

    #[test]
    fn no_value_breaks_out_of_its_line() {
        for bad in ["a\nlinux /evil", "a\rb", "\ta", " a", "a ", "", "\"a\"", "a\u{0}b", "a\u{85}b"] {
            let broken = Entry { title: bad.into(), ..entry() };
            assert!(matches!(broken.render(), Err(TemplateError::Value { field: "title", .. })), "{bad:?}");
            let broken = Entry { options: vec![bad.into()], ..entry() };
            assert!(matches!(broken.render(), Err(TemplateError::Value { field: "options", .. })), "{bad:?}");
        }
    }

    #[test]
    fn template_marks_in_a_value_stay_as_they_are() {
        let text = Entry { title: "{{ linux }} {% if %}".into(), ..entry() }.render().unwrap();
        assert!(text.starts_with("title {{ linux }} {% if %}\n"), "{text}");
    }
}
