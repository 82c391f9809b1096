//! `[Install]` in a unit file: under which names the unit is found once it is enabled (systemd.unit(5)). Every name that
//! comes out of here is that of a unit; what is none is refused, as systemd refuses it.

use crate::model::unit_name;
use crate::names::LONGEST_NAME;

/// What `[Install]` says, as it stands there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    upheld_by: Vec<String>,
    aliases: Vec<String>,
    also: Vec<String>,
    default_instance: Option<String>,
}

/// A word in `[Install]` that names no unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}=` in [Install] has `{}`, which is not the name of {what}", crate::names::shown(word))]
pub struct BadWord {
    /// The key.
    pub key: &'static str,
    /// The word, specifiers replaced.
    pub word: String,
    /// What it should have been the name of.
    pub what: &'static str,
}

/// What enabling a unit makes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Enabled {
    /// Links to the unit's file: paths below `/etc/systemd/system`.
    pub links: Vec<String>,
    /// Units that are enabled with it.
    pub also: Vec<String>,
}

/// Whether a text is the full name of a unit: `a.service`, `a@b.service`, and the template `a@.service`.
pub fn is_unit_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(['.', '@'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
        && unit_name(name) == name
}

impl Install {
    /// Reads the section of a unit's text.
    pub fn of(text: &str) -> Install {
        let mut install = Install::default();
        let mut inside = false;
        for line in whole_lines(text).iter().map(|line| line.trim()) {
            if line.starts_with('[') {
                inside = line == "[Install]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside) else {
                continue;
            };
            let mut words = words(value).into_iter();
            let list = match key.trim() {
                "WantedBy" => &mut install.wanted_by,
                "RequiredBy" => &mut install.required_by,
                "UpheldBy" => &mut install.upheld_by,
                "Alias" => &mut install.aliases,
                "Also" => &mut install.also,
                "DefaultInstance" => {
                    install.default_instance = words.next_back();
                    continue;
                }
                _ => continue,
            };
            // An empty value takes back what came before.
            if value.trim().is_empty() { list.clear() } else { list.extend(words) }
        }
        install
    }

    /// The name that a unit is enabled under: a template's is that of its default instance. `None` where a template has
    /// none.
    ///
    /// # Errors
    /// When that is not the name of a unit.
    pub fn name_of(&self, unit: &str) -> Result<Option<String>, BadWord> {
        if !unit.contains("@.") {
            return Ok(Some(unit.to_owned()));
        }
        let Some(instance) = &self.default_instance else { return Ok(None) };
        let name = unit.replacen('@', &format!("@{instance}"), 1);
        match is_unit_name(&name) {
            true => Ok(Some(name)),
            false => Err(BadWord { key: "DefaultInstance", word: instance.clone(), what: "an instance" }),
        }
    }

    /// What enabling a unit under a name makes.
    ///
    /// # Errors
    /// The first word that names no unit.
    pub fn enabled(&self, name: &str) -> Result<Enabled, BadWord> {
        let mut enabled = Enabled::default();
        for (list, key, kind) in [
            (&self.wanted_by, "WantedBy", "wants"),
            (&self.required_by, "RequiredBy", "requires"),
            (&self.upheld_by, "UpheldBy", "upholds"),
        ] {
            for word in list {
                let by = expand(word, name);
                if !is_unit_name(&by) {
                    return Err(BadWord { key, word: by, what: "a unit" });
                }
                enabled.links.push(format!("{by}.{kind}/{name}"));
            }
        }
        for word in &self.aliases {
            let alias = expand(word, name);
            if !is_alias(&alias, name) {
                return Err(BadWord { key: "Alias", word: alias, what: "a unit of the same kind" });
            }
            if alias != name {
                enabled.links.push(alias);
            }
        }
        for word in &self.also {
            let also = unit_name(&expand(word, name));
            if !is_unit_name(&also) {
                return Err(BadWord { key: "Also", word: also, what: "a unit" });
            }
            enabled.also.push(also);
        }
        Ok(enabled)
    }
}

/// The lines as they are meant: one that ends in a backslash goes on in the next one. A comment is no part of any, and its own
/// backslash means nothing.
fn whole_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut begun: Option<String> = None;
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let goes_on = backslashes % 2 == 1;
        let part = if goes_on { &line[..line.len() - 1] } else { line };
        let whole = begun.take().map_or_else(|| part.to_owned(), |begun| format!("{begun} {part}"));
        if goes_on { begun = Some(whole) } else { lines.push(whole) }
    }
    lines.extend(begun);
    lines
}

/// The words of a value, out of their quotes. A quote that does not end stays, and then the word is no name.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let mut word = String::new();
        while let Some(c) = rest.chars().next().filter(|c| !c.is_ascii_whitespace()) {
            let after = &rest[c.len_utf8()..];
            match after.split_once(c).filter(|_| matches!(c, '"' | '\'')) {
                Some((inside, after)) => {
                    word.push_str(inside);
                    rest = after;
                }
                None => {
                    word.push(c);
                    rest = after;
                }
            }
        }
        words.push(word);
        rest = rest.trim_start();
    }
    words
}

/// Another name of the same kind; or, as some units have it, the link that `WantedBy=` or `RequiredBy=` would make.
fn is_alias(alias: &str, name: &str) -> bool {
    let kind = |name: &str| name.rsplit_once('.').map(|(_, kind)| kind.to_owned());
    match alias.split_once('/') {
        None => is_unit_name(alias) && kind(alias) == kind(name),
        Some((folder, file)) => {
            let by = folder.strip_suffix(".wants").or_else(|| folder.strip_suffix(".requires"));
            by.is_some_and(is_unit_name) && file == name
        }
    }
}

/// The specifiers that make sense in `[Install]`. One that is replaced is not looked at again.
fn expand(word: &str, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let mut letters = after.chars();
        match letters.next() {
            Some('i' | 'I') => text.push_str(instance),
            Some('p' | 'P') => text.push_str(prefix),
            Some('j' | 'J') => text.push_str(prefix.rsplit_once('-').map_or(prefix, |(_, last)| last)),
            Some('n') => text.push_str(name),
            Some('N') => text.push_str(stem),
            Some('%') => text.push('%'),
            Some(other) => text.extend(['%', other]),
            None => text.push('%'),
        }
        rest = letters.as_str();
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_takes_back_what_came_before() {
        assert_eq!(Install::of("[Install]\nWantedBy=a\nWantedBy=\nWantedBy=b\n").wanted_by, ["b"]);
    }

    #[test]
    fn a_section_is_read_as_systemd_reads_it() {
        let links = |text: &str| Install::of(&format!("[Install]\n{text}")).enabled("a-b@c.service").map(|e| e.links);
        let wants = |by: &[&str]| by.iter().map(|by| format!("{by}.wants/a-b@c.service")).collect::<Vec<_>>();
        for (text, by) in [
            ("WantedBy=\"x.target\" 'y.target'\n", &["x.target", "y.target"][..]),
            ("WantedBy=x.\"target\"\n", &["x.target"]),
            ("WantedBy=%j.target %p@%i.service\n", &["b.target", "a-b@c.service"]),
            ("# a comment \\\nWantedBy=x.target\n", &["x.target"]),
            (
                "; another \\\nWantedBy=x.target \\\n  # within \\\n  y.target\nWantedBy=z.target",
                &["x.target", "y.target", "z.target"],
            ),
            ("WantedBy=x.target \\\n", &["x.target"]),
        ] {
            assert_eq!(links(text).unwrap(), wants(by), "{text:?}");
        }
        for bad in
            ["\"x.target", "x.target'", "\"x y.target\"", "\"../x.target\"", "\"\"", "%H.target", "x\\\\\ny.target"]
        {
            assert!(links(&format!("WantedBy={bad}\n")).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_units_are_told_from_others() {
        for name in ["a.service", "a@.service", "a@b.service", "dev-disk\\x2dx.device", "a.b.timer", "a:b_c.mount"] {
            assert!(is_unit_name(name), "{name}");
        }
        let long = format!("{}.service", "x".repeat(250));
        for name in ["", "a", ".service", "..", "@a.service", "a/b.service", "../a.service", "a b.service", "ä.service"]
        {
            assert!(!is_unit_name(name), "{name}");
        }
        assert!(!is_unit_name(&long) && !is_unit_name("a\n.service") && !is_unit_name("a\0.service"));
        assert!(!is_unit_name("a.wants") && !is_unit_name("%i.service"));
    }

    #[test]
    fn no_word_in_any_key_leads_out_of_the_folder() {
        let bad = [
            "/etc/x.target",
            "../x.target",
            "../../../../victim/x.target",
            "a/../../x.target",
            "a/b.target",
            "..",
            ".",
            "x.target/",
            "x.wants/../../y.service",
            "../x.target.wants/a.service",
            "x.target.wants/b.service",
            "x",
            "%H.target",
            "%%i.target",
            "x\0.target",
            "x\u{1b}[2J.target",
            &format!("{}.target", "x".repeat(300)),
        ];
        for key in ["WantedBy", "RequiredBy", "UpheldBy", "Alias"] {
            for word in bad {
                let word = if key == "Alias" { word.replace(".target", ".service") } else { word.to_owned() };
                let text =
                    format!("[Install]\n{key}=multi-user.target {word}\n").replace("Alias=multi-user.target", "Alias=");
                let refused = Install::of(&text).enabled("a.service");
                assert!(matches!(&refused, Err(bad) if bad.key == key), "{key}={word:?}: {refused:?}");
            }
        }
        // Without a kind it is a service, as `systemctl` has it.
        for word in ["/etc/x", "../x", "a/../../b", "..", ".", "a@../../b.service", "x/", "x\u{7f}"] {
            let refused = Install::of(&format!("[Install]\nAlso={word}\n")).enabled("a.service");
            assert!(matches!(&refused, Err(bad) if bad.key == "Also"), "{word:?}: {refused:?}");
        }
        for word in ["../../z", "/z", "a/../b", "x/", "%i"] {
            let refused = Install::of(&format!("[Install]\nDefaultInstance={word}\n")).name_of("a@.service");
            assert!(matches!(&refused, Err(bad) if bad.key == "DefaultInstance"), "{word:?}: {refused:?}");
        }
    }

    #[test]
    fn an_instance_of_a_template_cannot_make_a_word_lead_out() {
        let install = Install::of("[Install]\nWantedBy=%i.target\nAlias=%p-%N.service\n");
        assert_eq!(install.enabled("a@b.service").unwrap().links, ["b.target.wants/a@b.service", "a-a@b.service"]);
        assert!(install.enabled("a@../b.service").is_err());
        assert!(Install::of("[Install]\nAlias=b.socket\n").enabled("a.service").is_err(), "another kind");
        let old = Install::of("[Install]\nAlias=x.target.wants/a.service\n");
        assert_eq!(old.enabled("a.service").unwrap().links, ["x.target.wants/a.service"]);
    }
}
