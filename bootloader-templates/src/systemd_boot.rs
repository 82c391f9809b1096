//! systemd-boot: Boot Loader Specification entries and `loader.conf`.

use serde::Serialize;

use crate::render::{TemplateError, one_line, refuse, render};

/// One menu entry (Boot Loader Specification, type #1). Paths are absolute on the partition that holds the entry.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Entry {
    /// The line in the menu.
    pub title: String,
    /// What entries of one sort key are ordered by, newest first: the generation's number.
    pub version: String,
    /// Entries are grouped by this; lower-case.
    pub sort_key: String,
    /// The machine's id, 32 hex digits: entries of one sort key are grouped by it.
    pub machine_id: Option<String>,
    /// The EFI architecture, such as `x64`: on another one the entry is not shown.
    pub architecture: Option<String>,
    /// The device tree, on machines that need one.
    pub devicetree: Option<String>,
    /// The kernel.
    pub linux: String,
    /// The initrds, in their order.
    pub initrd: Vec<String>,
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
        optional("machine-id", self.machine_id.as_ref())?;
        optional("architecture", self.architecture.as_ref())?;
        optional("devicetree", self.devicetree.as_ref())?;
        for initrd in &self.initrd {
            one_line("initrd", initrd)?;
        }
        for option in &self.options {
            one_line("options", option)?;
        }
        render("systemd-boot/entry.conf", self)
    }
}

/// A menu entry for another EFI program: a shell, a memory test, another system's loader.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Program {
    /// The line in the menu.
    pub title: String,
    /// What entries of one sort key are ordered by.
    pub version: Option<String>,
    /// Entries are grouped by this; lower-case.
    pub sort_key: String,
    /// The machine's id, 32 hex digits.
    pub machine_id: Option<String>,
    /// The EFI architecture, such as `x64`: on another one the entry is not shown.
    pub architecture: Option<String>,
    /// The program.
    pub efi: String,
    /// What it is given on its command line.
    pub options: Vec<String>,
}

impl Program {
    /// The text of the entry's file.
    ///
    /// # Errors
    /// A value that does not fit on one line of the file.
    pub fn render(&self) -> Result<String, TemplateError> {
        one_line("title", &self.title)?;
        one_line("sort-key", &self.sort_key)?;
        one_line("efi", &self.efi)?;
        optional("version", self.version.as_ref())?;
        optional("machine-id", self.machine_id.as_ref())?;
        optional("architecture", self.architecture.as_ref())?;
        for option in &self.options {
            one_line("options", option)?;
        }
        render("systemd-boot/program.conf", self)
    }
}

fn optional(field: &'static str, value: Option<&String>) -> Result<(), TemplateError> {
    value.map_or(Ok(()), |value| one_line(field, value))
}

/// When the menu is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Menu {
    /// For the time of the timeout; with 0 seconds only when a key is pressed.
    #[default]
    Shown,
    /// Only when a key is pressed while the machine starts. systemd-boot knows no time for that.
    Hidden,
    /// Until somebody chooses.
    Wait,
}

/// The text mode of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleMode {
    /// As the firmware left it.
    Keep,
    /// What systemd-boot thinks best.
    Auto,
    /// The largest.
    Max,
    /// 80 by 25.
    #[serde(rename = "0")]
    Standard,
    /// 80 by 50.
    #[serde(rename = "1")]
    Lines50,
    /// The firmware's own first mode.
    #[serde(rename = "2")]
    Firmware,
}

/// `loader.conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderConf {
    /// Seconds that the menu is shown; 0 hides it.
    pub timeout: u32,
    /// When it is shown.
    pub menu: Menu,
    /// The id of the entry that boots by itself, or a pattern. It may only ever name an entry that is good and whose
    /// name carries no counter: systemd-boot boots what is named here even when it has no tries left.
    pub default: Option<String>,
    /// The text mode.
    pub console_mode: Option<ConsoleMode>,
    /// Whether parameters may be changed in the menu. Who may, is root.
    pub editor: bool,
    /// Whether other systems are looked for.
    pub auto_entries: bool,
    /// Whether there is an entry for the firmware's setup.
    pub auto_firmware: bool,
    /// Whether a firmware that has no keys is given those of `loader/keys/auto`: in a virtual machine without a question, on any
    /// other computer by an entry of the menu.
    pub enrolls: bool,
}

impl Default for LoaderConf {
    fn default() -> LoaderConf {
        LoaderConf {
            timeout: 3,
            menu: Menu::Shown,
            default: None,
            console_mode: None,
            editor: false,
            auto_entries: true,
            auto_firmware: true,
            enrolls: false,
        }
    }
}

impl LoaderConf {
    /// The text of the file.
    ///
    /// # Errors
    /// A default that systemd-boot would never find.
    pub fn render(&self) -> Result<String, TemplateError> {
        if let Some(default) = &self.default {
            one_line("default", default)?;
            // Patterns are lower-cased, and then match no name with capitals.
            if default.chars().any(|c| c.is_uppercase() || c.is_whitespace()) {
                return refuse("default", "a capital letter or a blank", default);
            }
        }
        let timeout = match self.menu {
            Menu::Shown => self.timeout.to_string(),
            Menu::Hidden => "menu-hidden".into(),
            Menu::Wait => "menu-force".into(),
        };
        let page = Page {
            timeout,
            default: self.default.as_deref(),
            console_mode: self.console_mode,
            editor: self.editor,
            auto_entries: self.auto_entries,
            auto_firmware: self.auto_firmware,
            enrolls: self.enrolls,
        };
        render("systemd-boot/loader.conf", page)
    }
}

/// What the template of `loader.conf` sees.
#[derive(Serialize)]
struct Page<'a> {
    enrolls: bool,
    timeout: String,
    default: Option<&'a str>,
    console_mode: Option<ConsoleMode>,
    editor: bool,
    auto_entries: bool,
    auto_firmware: bool,
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
            initrd: vec!["/cairn/a1/i-initrd".into()],
            options: vec!["root=UUID=x".into(), "init=/nix/store/s/init".into(), "quiet".into()],
            ..Entry::default()
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
        let text = Entry { initrd: Vec::new(), ..entry() }.render().unwrap();
        assert!(!text.contains("initrd"), "{text}");
    }

    // Golden of templates/systemd-boot/entry.conf, with everything.
    #[test]
    fn an_entry_may_say_for_which_machine_it_is() {
        let text = Entry {
            machine_id: Some("0123456789abcdef0123456789abcdef".into()),
            architecture: Some("x64".into()),
            devicetree: Some("/cairn/a1/board.dtb".into()),
            options: Vec::new(),
            ..entry()
        };
        assert_eq!(
            text.render().unwrap(),
            "title hello, generation 1 (Linux 6.12.107, 2026-11-15)\nversion 1\n\
             machine-id 0123456789abcdef0123456789abcdef\nsort-key cairn\narchitecture x64\n\
             devicetree /cairn/a1/board.dtb\ninitrd /cairn/a1/i-initrd\nlinux /cairn/a1/k-vmlinuz\n"
        );
    }

    // Golden of templates/systemd-boot/program.conf.
    #[test]
    fn a_program_is_named_last() {
        let shell = Program {
            title: "EFI shell".into(),
            version: Some("2".into()),
            sort_key: "o_shell".into(),
            machine_id: Some("0123456789abcdef0123456789abcdef".into()),
            architecture: Some("x64".into()),
            efi: "/EFI/tools/shell.efi".into(),
            options: vec!["-nomap".into()],
        };
        assert_eq!(
            shell.render().unwrap(),
            "title EFI shell\nversion 2\nmachine-id 0123456789abcdef0123456789abcdef\nsort-key o_shell\n\
             architecture x64\noptions -nomap\nefi /EFI/tools/shell.efi\n"
        );
        let short = Program { title: "T".into(), sort_key: "o".into(), efi: "/e".into(), ..Program::default() };
        assert_eq!(short.render().unwrap(), "title T\nsort-key o\nefi /e\n");
        assert!(Program { efi: "/a\nlinux /b".into(), ..short }.render().is_err());
    }

    // Golden of templates/systemd-boot/loader.conf.
    #[test]
    fn the_loader_gets_no_default() {
        assert_eq!(
            LoaderConf::default().render().unwrap(),
            "timeout 3\neditor no\nauto-entries yes\nauto-firmware yes\n"
        );
    }

    // Golden of templates/systemd-boot/loader.conf, with everything.
    #[test]
    fn the_loader_does_what_the_machine_file_says() {
        let conf = LoaderConf {
            timeout: 7,
            menu: Menu::Wait,
            default: Some("cairn-0123abcd-7-abcdefgh.conf".into()),
            console_mode: Some(ConsoleMode::Standard),
            editor: true,
            auto_entries: false,
            auto_firmware: false,
            enrolls: true,
        };
        assert_eq!(
            conf.render().unwrap(),
            "timeout menu-force\ndefault cairn-0123abcd-7-abcdefgh.conf\nconsole-mode 0\neditor yes\n\
             auto-entries no\nauto-firmware no\nsecure-boot-enroll if-safe\n"
        );
        let hidden = LoaderConf { menu: Menu::Hidden, console_mode: Some(ConsoleMode::Max), ..LoaderConf::default() };
        assert!(hidden.render().unwrap().starts_with("timeout menu-hidden\nconsole-mode max\neditor no\n"));
    }

    #[test]
    fn a_default_that_is_never_found_is_refused() {
        for default in ["Cairn-1.conf", "a b", "", "a\nb"] {
            let conf = LoaderConf { default: Some(default.into()), ..LoaderConf::default() };
            assert!(matches!(conf.render(), Err(TemplateError::Value { field: "default", .. })), "{default:?}");
        }
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

    #[test]
    fn no_field_of_an_entry_breaks_out_of_its_line() {
        type Set<T> = fn(&mut T, String);
        let entries: [(&str, Set<Entry>); 9] = [
            ("title", |e, v| e.title = v),
            ("version", |e, v| e.version = v),
            ("sort-key", |e, v| e.sort_key = v),
            ("linux", |e, v| e.linux = v),
            ("machine-id", |e, v| e.machine_id = Some(v)),
            ("architecture", |e, v| e.architecture = Some(v)),
            ("devicetree", |e, v| e.devicetree = Some(v)),
            ("initrd", |e, v| e.initrd.push(v)),
            ("options", |e, v| e.options.push(v)),
        ];
        let program = || Program { title: "T".into(), sort_key: "o".into(), efi: "/e".into(), ..Program::default() };
        let programs: [(&str, Set<Program>); 7] = [
            ("title", |p, v| p.title = v),
            ("version", |p, v| p.version = Some(v)),
            ("sort-key", |p, v| p.sort_key = v),
            ("machine-id", |p, v| p.machine_id = Some(v)),
            ("architecture", |p, v| p.architecture = Some(v)),
            ("efi", |p, v| p.efi = v),
            ("options", |p, v| p.options.push(v)),
        ];
        for bad in ["x\nlinux /evil", " x", "x ", "", "'x'", "\"x\"", "x\u{7f}"] {
            for (field, set) in entries {
                let mut entry = entry();
                set(&mut entry, bad.into());
                let refused = entry.render();
                assert!(
                    matches!(&refused, Err(TemplateError::Value { field: f, .. }) if *f == field),
                    "{field} {bad:?}"
                );
            }
            for (field, set) in programs {
                let mut program = program();
                set(&mut program, bad.into());
                let refused = program.render();
                assert!(
                    matches!(&refused, Err(TemplateError::Value { field: f, .. }) if *f == field),
                    "{field} {bad:?}"
                );
            }
        }
    }
}
