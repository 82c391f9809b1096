//! What is put into each crate that has mutants: the switch.

/// The module's name.
pub const MODULE: &str = "cairn_mutant";

/// The environment variable with the number of the one mutant that is awake.
pub const AWAKE: &str = "CAIRN_MUTANT";

/// The environment variable with the file to which the number of each mutant that is reached is added.
pub const REACHED: &str = "CAIRN_MUTANT_REACHED";

/// The module's text, for mutants up to this number.
pub fn module(most: usize) -> String {
    format!(
        r#"
#[doc(hidden)]
pub mod {MODULE} {{
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{{AtomicBool, Ordering}};

    static AWAKE: OnceLock<(usize, Option<std::path::PathBuf>)> = OnceLock::new();
    static SEEN: [AtomicBool; {most} + 1] = [const {{ AtomicBool::new(false) }}; {most} + 1];

    #[inline(never)]
    pub fn on(number: usize) -> bool {{
        let (awake, reached) = AWAKE.get_or_init(|| {{
            let number = std::env::var("{AWAKE}").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
            (number, std::env::var_os("{REACHED}").map(Into::into))
        }});
        if let Some(path) = reached {{
            if !SEEN[number].swap(true, Ordering::Relaxed) {{
                let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
                let _ = file.and_then(|mut file| file.write_all(format!("{{number}}\n").as_bytes()));
            }}
        }}
        *awake == number
    }}
}}
"#
    )
}

/// The question whether a mutant is awake.
pub fn question(number: usize) -> String {
    format!("crate::{MODULE}::on({number})")
}
