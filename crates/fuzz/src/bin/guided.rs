//! One reader under libFuzzer, guided by what its inputs reach. `CAIRN_FUZZ` names the reader; see `scripts/fuzz`.
//!
//! Without the reader's own seeds and words libFuzzer would begin with nothing, and be at the first check for long. It takes
//! both from files, which are written before it looks for them: the seeds into the folder `CAIRN_FUZZ_SEEDS`, the words into
//! the file `CAIRN_FUZZ_WORDS`.
#![no_main]

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use cairn_fuzz::{Target, targets};
use libfuzzer_sys::fuzz_target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("CAIRN_FUZZ").unwrap_or_default();
        targets::find(&name).unwrap_or_else(|| panic!("CAIRN_FUZZ={name} names no reader"))
    })
}

fn begin() {
    let written = |name: &str, write: &dyn Fn(&Path) -> io::Result<()>| {
        if let Some(path) = std::env::var_os(name) {
            write(Path::new(&path)).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    };
    written("CAIRN_FUZZ_SEEDS", &|folder| {
        let mut seeds = (target().seeds)().into_iter().enumerate();
        seeds.try_for_each(|(number, seed)| std::fs::write(folder.join(format!("seed-{number}")), seed))
    });
    // As libFuzzer reads it: a word in quotation marks on each line, and any byte as \xAB.
    written("CAIRN_FUZZ_WORDS", &|file| {
        let escaped = |word: &&str| word.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let lines = target().words.iter().map(|word| format!("\"{}\"\n", escaped(word)));
        std::fs::write(file, format!("# Words of {}\n{}", target().name, lines.collect::<String>()))
    });
    // What is made once, such as a good image, is none of an input's time.
    (target().seeds)().first().into_iter().for_each(|seed| (target().run)(seed));
}

fuzz_target!(init: begin(), |data: &[u8]| (target().run)(data));
