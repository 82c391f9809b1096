//! The machine file's own checks: `tests:`.

use super::{Answers, Question};
use crate::verify::check::Check;
use crate::verify::expected::Expected;

/// How long one of them may take.
const SECONDS: u32 = 300;

fn id(n: usize) -> String {
    format!("test{n}")
}

pub(super) fn questions(expected: &Expected) -> Vec<Question> {
    let question = |(n, test): (usize, &cairn_machine::model::Test)| Question {
        id: id(n),
        seconds: SECONDS,
        command: test.command.clone(),
    };
    expected.tests.iter().enumerate().map(question).collect()
}

pub(super) fn judge(expected: &Expected, answers: &Answers) -> Vec<Check> {
    let mut checks = Vec::new();
    for (n, test) in expected.tests.iter().enumerate() {
        let Some(answer) = answers.get(&id(n)) else { continue };
        let name = format!("test: {}", test.name);
        let said = answer.out.trim();
        if answer.exit == 0 {
            let found = if said.is_empty() { "exit status 0" } else { said };
            checks.push(match &test.expect {
                Some(expect) => Check::equal(name, expect.trim(), said),
                None => Check::new(name, true, "exit status 0", found),
            });
            continue;
        }
        let end = if answer.exit == 124 {
            format!("no end within {SECONDS} s")
        } else {
            format!("exit status {}", answer.exit)
        };
        let words = [said, answer.err.trim()].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join("\n");
        let found = if words.is_empty() { end } else { format!("{end}: {words}") };
        checks.push(Check::new(name, false, test.expect.as_deref().map_or("exit status 0", str::trim), found));
    }
    checks
}

#[cfg(test)]
mod tests {
    use cairn_machine::model::Test;

    use super::*;
    use crate::verify::answer::Answer;

    fn run(expect: Option<&str>, exit: i32, out: &str, err: &str) -> Check {
        let test = Test { name: "greets".into(), command: "x".into(), expect: expect.map(str::to_string) };
        let expected = Expected { tests: vec![test], ..Expected::default() };
        let answer = Answer { exit, out: out.into(), err: err.into() };
        judge(&expected, &[("test0".to_string(), answer)].into()).remove(0)
    }

    #[test]
    fn exit_and_output_count() {
        assert!(run(None, 0, "anything\n", "").ok);
        assert!(run(Some("hello"), 0, "hello\n", "").ok);
        assert!(!run(Some("hello"), 0, "bye\n", "").ok);
        let check = run(None, 2, "", "no such file\n");
        assert_eq!((check.ok, check.found.as_str()), (false, "exit status 2: no such file"));
        assert_eq!(run(Some("hello"), 124, "", "").found, "no end within 300 s");
    }
}
