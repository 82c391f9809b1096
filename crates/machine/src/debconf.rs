//! Answers for debconf, in the form of debconf-set-selections(1): `OWNER QUESTION TYPE VALUE`.

/// The types of questions that have an answer (debconf-devel(7)).
const TYPES: [&str; 6] = ["boolean", "multiselect", "note", "select", "string", "text"];

/// What is wrong with a line, and what to do; nothing where it is one.
pub fn problem(line: &str) -> Option<(&'static str, &'static str)> {
    const FORM: &str =
        "write owner, question, type and value with a blank between them, as debconf-set-selections(1) reads them";
    if line.chars().any(char::is_control) {
        return Some(("has a control character", FORM));
    }
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let (owner, question, kind) = match words[..] {
        [owner, question, kind] | [owner, question, kind, _] => (owner, question, kind),
        _ => return Some(("has no owner, question and type", FORM)),
    };
    let name =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._/:".contains(&b));
    if !name(owner) || !name(question) {
        return Some(("names no owner and question", FORM));
    }
    if kind == "password" {
        // What is in a base is read by all users of all machines that are made from it.
        return Some(("is a password", "every user could read it: set it on the machine, or let the package draw one"));
    }
    if !TYPES.contains(&kind) {
        return Some((
            "has a type that no question has",
            "string, boolean, select, multiselect, note and text are known",
        ));
    }
    if kind == "boolean" && !matches!(words.get(3), Some(&("true" | "false"))) {
        return Some(("is neither true nor false", "write true or false at its end"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_answer() {
        for good in [
            "wireshark-common wireshark-common/install-setuid boolean true",
            "tzdata tzdata/Areas select Europe",
            "slapd slapd/domain string example.org and more",
            "d-i x/y string",
            "x x/y multiselect a, b",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        for (bad, why) in [
            ("", "has no owner, question and type"),
            ("a a/b", "has no owner, question and type"),
            ("a  a/b string x", "names no owner and question"),
            ("#a a/b string x", "names no owner and question"),
            ("a a/b string x\nb b/c string y", "has a control character"),
            ("a a/b password x", "is a password"),
            ("a a/b strnig x", "has a type that no question has"),
            ("a a/b boolean yes", "is neither true nor false"),
            ("a a/b boolean", "is neither true nor false"),
        ] {
            assert_eq!(problem(bad).map(|it| it.0), Some(why), "{bad:?}");
        }
    }
}
