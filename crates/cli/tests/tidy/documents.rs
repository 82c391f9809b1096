//! Documents that show what exists.

use crate::{files, nothing_wrong, read, root};

#[test]
fn the_machine_file_in_the_readme_is_the_example() {
    let readme = read("README.md");
    let block = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    assert_eq!(block, read("examples/hello.yaml"), "README.md shows another machine file than examples/hello.yaml");
    assert!(block.lines().count() <= 60, "more than a screenful");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in files("").into_iter().filter(|f| f.ends_with(".md")) {
        let text = read(&file);
        let here = root().join(&file).parent().unwrap().to_path_buf();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") && !here.join(path).exists() {
                wrong.push(format!("{file}: {link}"));
            }
        }
    }
    nothing_wrong("a link in a document leads to a file", &wrong);
}

#[test]
fn what_people_expect_in_a_repository_is_there() {
    let wanted = [
        ".ci/run",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "scripts/demo",
        "scripts/setup",
        "scripts/test",
    ];
    let wrong: Vec<String> = wanted.iter().filter(|f| !root().join(f).is_file()).map(|f| f.to_string()).collect();
    nothing_wrong("missing", &wrong);
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let wrong: Vec<String> = files("scripts")
        .into_iter()
        .chain([".ci/run".into()])
        .filter(|f| read(f).starts_with("#!"))
        .filter(|f| root().join(f).metadata().unwrap().permissions().mode() & 0o111 == 0)
        .collect();
    nothing_wrong("a script is executable", &wrong);
}

#[test]
fn every_exit_code_is_in_the_readme() {
    let readme = read("README.md");
    let wrong: Vec<String> =
        [0, 1, 2, 3, 4, 130].iter().map(|n| format!("| {n} |")).filter(|row| !readme.contains(row.as_str())).collect();
    nothing_wrong("README.md has a table of the exit codes", &wrong);
}
