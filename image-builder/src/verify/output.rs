//! A result for people (a table) and for other programs (JUnit XML). JSON is serde's.

use std::fmt::Write;

use cairn_process::text::{is_deceptive, one_line};

use super::check::{Check, Stage, VerifyResult};

impl VerifyResult {
    /// One line for each check, the failed ones with what was expected; the stages; at the end the verdict.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for check in &self.checks {
            let mark = if check.ok { "ok  " } else { "FAIL" };
            let (name, found) = (shorten(&check.name), shorten(&check.found));
            if check.ok {
                put(&mut out, format_args!("{mark}  {name}: {found}"));
            } else {
                put(&mut out, format_args!("{mark}  {name}"));
                put(&mut out, format_args!("      expected: {}", shorten(&check.expected)));
                put(&mut out, format_args!("      found:    {found}"));
            }
        }
        for boot in [1, 2] {
            let stages: Vec<&Stage> = self.stages.iter().filter(|s| s.boot == boot).collect();
            if !stages.is_empty() {
                let times: Vec<String> = stages.iter().map(|s| format!("{} {:.1} s", s.name, s.seconds)).collect();
                put(&mut out, format_args!("boot {boot} ({}): {}", self.accelerator, times.join(", ")));
            }
        }
        if let Some(path) = &self.screenshot {
            put(&mut out, format_args!("screenshot: {}", path.display()));
        }
        if !self.ok && !self.console_tail.is_empty() {
            put(&mut out, format_args!("the console's last lines:"));
            for line in self.console_tail.lines() {
                put(&mut out, format_args!("  | {line}"));
            }
        }
        let failed = self.checks.iter().filter(|c| !c.ok).count();
        if failed == 0 {
            put(&mut out, format_args!("all {} checks hold", self.checks.len()));
        } else {
            put(&mut out, format_args!("{failed} of {} checks failed", self.checks.len()));
        }
        out
    }

    /// JUnit XML: one test suite with one test case for each check.
    pub fn junit(&self, suite: &str) -> String {
        let failed = self.checks.iter().filter(|c| !c.ok).count();
        let time: f64 = self.stages.iter().filter(|s| s.name == "total").map(|s| s.seconds).sum();
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let attributes =
            format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{time:.3}\"", self.checks.len());
        put(&mut out, format_args!("<testsuites {attributes}>"));
        put(&mut out, format_args!("  <testsuite name=\"{}\" {attributes}>", escape(suite)));
        for check in &self.checks {
            put_case(&mut out, suite, check);
        }
        if !self.console_tail.is_empty() {
            put(&mut out, format_args!("    <system-out>{}</system-out>", escape(&self.console_tail)));
        }
        out += "  </testsuite>\n</testsuites>\n";
        out
    }
}

/// Writing into a string cannot fail.
fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{line}");
}

fn put_case(out: &mut String, suite: &str, check: &Check) {
    let head = format!("    <testcase classname=\"{}\" name=\"{}\"", escape(suite), escape(&check.name));
    if check.ok {
        put(out, format_args!("{head}/>"));
        return;
    }
    let words = format!("expected: {}\nfound: {}", check.expected, check.found);
    let message = escape(&shorten(&check.found));
    put(out, format_args!("{head}><failure message=\"{message}\">{}</failure></testcase>", escape(&words)));
}

/// On one line, and not longer than a screen is wide a few times.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line = one_line(&text.split('\n').map(str::trim_end).collect::<Vec<_>>().join(" / ")).into_owned();
    if let Some((at, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// Text for XML 1.0, which has no place for most control characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if is_deceptive(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result() -> VerifyResult {
        VerifyResult {
            ok: false,
            checks: vec![Check::equal("host name", "a", "a"), Check::equal("user \"x\"", "one\ntwo", "<none>\x1b")],
            stages: vec![Stage { boot: 1, name: "total".into(), seconds: 27.25 }],
            accelerator: "tcg".into(),
            console_tail: "last line".into(),
            screenshot: None,
        }
    }

    #[test]
    fn the_table_shows_what_is_wrong() {
        assert_eq!(
            result().table(),
            "ok    host name: a\nFAIL  user \"x\"\n      expected: one / two\n      found:    <none>\\x1b\n\
             boot 1 (tcg): total 27.2 s\nthe console's last lines:\n  | last line\n1 of 2 checks failed\n"
        );
    }

    #[test]
    fn junit_is_xml() {
        let xml = result().junit("hello");
        assert!(
            xml.contains("<testsuite name=\"hello\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"27.250\">"),
            "{xml}"
        );
        assert!(xml.contains("<failure message=\"&lt;none&gt;\\x1b\">"), "{xml}");
        assert!(!xml.contains('\x1b'));
    }
}
