//! Compiled locales: what the base's own `localedef` makes of the base's own sources, when a system is made.
//!
//! A base depends on its lock alone, so another language needs no other base. Compiling takes a second for each locale, so
//! each is a store path of its own, which is remembered; the system's `/usr` links to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cairn_machine::model::Locale;
use cairn_process::Report;
use cairn_store::{Store, StorePath, to_hex};
use sha2::{Digest, Sha256};

use crate::error::SystemError;
use crate::memory::Memory;
use crate::programs::{Lacking, copy, program, there};
use crate::tree::{Tree, read_in};

/// Where a base has the sources of locales, and the package with these.
const SOURCES: &str = "usr/share/i18n";
const PACKAGE: &str = "locales";
/// Where the C library looks for compiled ones, below `/usr`.
const FOLDER: &str = "lib/locale";
const REASON: &str = "compile a locale";
/// What it is for, where it is missing: "the base … has no …, which …".
const NEEDED: &str = "locales are compiled with";

/// The locales that a machine names, as (JSON pointer, name), sorted by name, each once; without those that are built into
/// the C library.
pub(crate) fn named(locale: &Locale) -> Vec<(String, String)> {
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

/// The machine's locales, each with its path below `/usr` and the store path that must be there: from the store if one was
/// made before, otherwise compiled now.
///
/// # Errors
/// [`SystemError::Refused`] for a locale that the base does not know; what running `localedef` gives.
pub(crate) fn add(
    locale: &Locale,
    (base, base_path): (&Path, &StorePath),
    store: &Store,
    cache: &Path,
    report: &dyn Report,
) -> Result<Vec<(String, StorePath)>, SystemError> {
    let mut added = Vec::new();
    for (pointer, name) in named(locale) {
        let plain = plain(&name);
        let key = format!("{}\n{base_path}\n{plain}\n", env!("CAIRN_SYSTEM_CODE"));
        let memory = Memory::new(cache, "locales", &to_hex(&Sha256::digest(key)));
        let path = match memory.path(store)? {
            Some(path) => path,
            None => {
                report.phase(&format!("compiling the locale {name}"), None);
                let tree = compile(base, &pointer, &name)?;
                let scratch = store.scratch()?;
                tree.write(scratch.path())?;
                // A store path has no `@` in its name.
                let path = store.add(&format!("locale-{}", plain.replace('@', "-")), scratch, &[])?.path;
                memory.remember(&path)?;
                path
            }
        };
        added.push((format!("{FOLDER}/{}", folder(&plain)), path));
    }
    // `de_DE.UTF-8` and `de_DE.utf8` are the same.
    added.dedup();
    Ok(added)
}

/// A name without its character set, which is UTF-8 for all of them: `sr_RS@latin`.
fn plain(name: &str) -> String {
    name.replace(".UTF-8", "").replace(".utf8", "")
}

/// The folder in which the C library looks for a locale: `sr_RS.utf8@latin`.
fn folder(plain: &str) -> String {
    let (language, modifier) = plain.split_at(plain.find('@').unwrap_or(plain.len()));
    format!("{language}.utf8{modifier}")
}

/// One locale. `localedef` reads copies: a base's links are followed inside the base, and what it has packed is unpacked by
/// its own gzip.
fn compile(base: &Path, pointer: &str, name: &str) -> Result<Tree, SystemError> {
    let lacking = |lacking: Lacking| lacking.of(base, NEEDED);
    let plain = plain(name);
    let list = format!("{SOURCES}/SUPPORTED");
    let supported = read_in(base, &list).map_err(SystemError::io("reading", base.join(&list)))?;
    let supported = supported.ok_or_else(|| lacking(Lacking { path: list, package: PACKAGE }))?;
    if !is_supported(&String::from_utf8_lossy(&supported), &plain) {
        let help = format!("`/{SOURCES}/SUPPORTED` of the package {PACKAGE} lists them, such as de_DE.UTF-8");
        return Err(SystemError::refused_with(pointer, format!("there is no locale {name}"), Some(help)));
    }

    let scratch = tempfile::tempdir().map_err(SystemError::io("making", "a temporary folder"))?;
    let at = scratch.path();
    let made = |folder: &str| fs::create_dir(at.join(folder)).map_err(SystemError::io("making", at.join(folder)));
    ["charmaps", "out"].into_iter().try_for_each(made)?;
    copy(base, &format!("{SOURCES}/locales"), NEEDED, &at.join("locales"))?;
    let packed = there(base, &format!("{SOURCES}/charmaps/UTF-8.gz"), PACKAGE).map_err(lacking)?;
    let gzip = program(base, "usr/bin/gzip", "gzip", REASON).map_err(lacking)?;
    let charmap = gzip.arg("-dc").arg(packed).output()?;
    let file = at.join("charmaps/UTF-8");
    fs::write(&file, charmap).map_err(SystemError::io("writing", &file))?;

    program(base, "usr/bin/localedef", "libc-bin", REASON)
        .map_err(lacking)?
        // It looks in the folder that it runs in first of all, and its own messages need no language.
        .dir(at)
        .env("I18NPATH", ".")
        .env("LC_ALL", "C")
        .args(["--no-archive", "-i", &plain, "-f", "UTF-8", "./out/one"])
        .run()?;
    Tree::read(&at.join("out/one"), "", &BTreeMap::new())
}

/// Whether glibc's list, lines such as `de_DE.UTF-8 UTF-8` and `as_IN UTF-8`, has a locale in UTF-8.
fn is_supported(list: &str, wanted: &str) -> bool {
    list.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|name| plain(name) == wanted) && words.next() == Some("UTF-8")
    })
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
        let names: Vec<String> = named(&locale).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["de_DE.UTF-8", "en_GB.UTF-8"]);
        assert_eq!(named(&Locale::default()), []);
    }

    #[test]
    fn a_locale_is_known_by_each_of_its_names() {
        let list = "de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\nas_IN UTF-8\nsr_RS@latin UTF-8\nde_DE@euro ISO-8859-15\n";
        for (name, of_folder) in [
            ("de_DE.UTF-8", "de_DE.utf8"),
            ("de_DE.utf8", "de_DE.utf8"),
            ("as_IN.UTF-8", "as_IN.utf8"),
            ("sr_RS.UTF-8@latin", "sr_RS.utf8@latin"),
        ] {
            assert!(is_supported(list, &plain(name)), "{name}");
            assert_eq!(folder(&plain(name)), of_folder);
        }
        for name in ["de_AT.UTF-8", "de_DE.UTF-8@euro", "sr_RS.UTF-8", "x.UTF-8"] {
            assert!(!is_supported(list, &plain(name)), "{name}");
        }
    }

    #[test]
    fn an_unknown_locale_is_refused_where_it_stands() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join(SOURCES)).unwrap();
        let refused = || compile(base.path(), "/locale/lang", "xx_XX.UTF-8").unwrap_err();
        assert!(matches!(refused(), SystemError::BaseLacks { .. }));
        fs::write(base.path().join(SOURCES).join("SUPPORTED"), "de_DE.UTF-8 UTF-8\n").unwrap();
        let error = refused();
        assert_eq!(error.pointer(), Some("/locale/lang"));
        assert_eq!(error.to_string(), "there is no locale xx_XX.UTF-8");
    }
}
