//! What of a machine's settings must be made when the base is: compiled locales and the console's keymap.
//!
//! Both need programs of the packages, which can only run while mmdebstrap has the tree. So they are part of the
//! base and of its cache key; another language means another base, made from the same cached packages.

use cairn_machine::model::{Keyboard, Locale, Machine};
use serde::Serialize;

/// The settings that a base depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Extras {
    /// Locales to compile, as (JSON pointer, name), sorted by name.
    pub(super) locales: Vec<(String, String)>,
    /// The text of `/etc/default/keyboard`, where the keyboard is not the plain US one.
    pub(super) keyboard: Option<String>,
}

impl Extras {
    pub(super) fn of(machine: &Machine) -> Extras {
        let keyboard = &machine.keyboard;
        let keyboard = (*keyboard != Keyboard::default()).then(|| default_keyboard(keyboard));
        Extras { locales: locales(&machine.locale), keyboard }
    }

    /// The shell script for mmdebstrap's customize hook; the root folder is its `$1`.
    pub(super) fn script(&self) -> String {
        // Packages ask for their own users as they are configured; this catches those that leave it to the boot.
        let mut script = String::from(
            "set -e\n\
             if [ -x \"$1/usr/bin/systemd-sysusers\" ]; then chroot \"$1\" systemd-sysusers; fi\n\
             if [ -x \"$1/usr/bin/systemd-hwdb\" ]; then chroot \"$1\" systemd-hwdb --usr update; fi\n\
             if [ -x \"$1/usr/bin/journalctl\" ]; then chroot \"$1\" journalctl --update-catalog; fi\n",
        );
        for (_, name) in &self.locales {
            script.push_str(&compile_locale(name));
        }
        if let Some(text) = &self.keyboard {
            script.push_str(&format!("printf %s {} > \"$1/etc/default/keyboard\"\n", quoted(text)));
            script.push_str("chroot \"$1\" setupcon --save-only </dev/null\n");
        }
        script.push_str("chroot \"$1\" ldconfig\n");
        script
    }
}

/// How the hook tells that a locale does not exist; looked for in mmdebstrap's standard error.
pub(super) const NO_LOCALE: &str = "cairn: no such locale: ";

/// One locale, in its own folder rather than in the archive file, so that each can be told from the others.
fn compile_locale(name: &str) -> String {
    // SUPPORTED has lines such as "de_DE.UTF-8 UTF-8" and "de_DE ISO-8859-1"; glibc itself takes utf8 for UTF-8.
    let listed = name.replace(".utf8", ".UTF-8");
    format!(
        "name={name}; listed={listed}\n\
         charset=$(awk -v n=\"$listed\" '$1 == n {{ print $2 }}' \"$1/usr/share/i18n/SUPPORTED\")\n\
         if [ -z \"$charset\" ]; then echo \"{NO_LOCALE}$name\" >&2; exit 1; fi\n\
         at=${{listed#*@}}; if [ \"$at\" = \"$listed\" ]; then at=; else at=@$at; fi\n\
         input=${{listed%%@*}}; input=${{input%%.*}}$at\n\
         chroot \"$1\" localedef --no-archive -i \"$input\" -f \"$charset\" \"$listed\"\n",
        name = quoted(name),
        listed = quoted(&listed),
    )
}

/// As one word for a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The locales that a machine names, except those that are built into the C library.
pub(super) fn locales(locale: &Locale) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = locale
        .categories
        .iter()
        .map(|(category, name)| (format!("/locale/categories/{category}"), name.clone()))
        .chain([("/locale/lang".to_string(), locale.lang.clone())])
        .filter(|(_, name)| !matches!(name.as_str(), "" | "C" | "POSIX" | "C.UTF-8" | "C.utf8"))
        .collect();
    all.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    all.dedup_by(|a, b| a.1 == b.1);
    all
}

/// keyboard(5).
fn default_keyboard(keyboard: &Keyboard) -> String {
    format!(
        "XKBMODEL=\"{}\"\nXKBLAYOUT=\"{}\"\nXKBVARIANT=\"{}\"\nXKBOPTIONS=\"{}\"\nBACKSPACE=\"guess\"\n",
        plain(&keyboard.model),
        plain(&keyboard.layout),
        plain(keyboard.variant.as_deref().unwrap_or_default()),
        plain(&keyboard.options.join(",")),
    )
}

/// The file is read by a shell: what has a meaning there has none in XKB's names, and is left out.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !"\"`$\\".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_are_listed_once_and_those_of_the_c_library_never() {
        let mut locale = Locale { lang: "de_DE.UTF-8".into(), ..Locale::default() };
        for (category, name) in [("LC_TIME", "en_GB.UTF-8"), ("LC_PAPER", "de_DE.UTF-8"), ("LC_NUMERIC", "C")] {
            locale.categories.insert(category.into(), name.into());
        }
        let names: Vec<String> = locales(&locale).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["de_DE.UTF-8", "en_GB.UTF-8"]);
        assert_eq!(locales(&Locale::default()), []);
    }

    #[test]
    fn nothing_of_the_machine_file_reaches_a_shell() {
        assert!(compile_locale("x'; rm -rf /; '").starts_with(r"name='x'\''; rm -rf /; '\'''; listed="));
        let keyboard = Keyboard { layout: "de\"; reboot; $(x)`y`".into(), ..Keyboard::default() };
        assert!(default_keyboard(&keyboard).contains("XKBLAYOUT=\"de; reboot; (x)y\"\n"));
    }
}
