//! What is offered where the computer has no list of its own.

/// Languages: their locale, and how their speakers call them, if the letters of the kernel's own console suffice for it.
pub const LANGUAGES: [(&str, &str); 31] = [
    ("C.UTF-8", "English, with dates and numbers of no country"),
    ("en_US.UTF-8", "English (United States)"),
    ("en_GB.UTF-8", "English (United Kingdom)"),
    ("ar_EG.UTF-8", "Arabic (Egypt)"),
    ("cs_CZ.UTF-8", "Czech"),
    ("da_DK.UTF-8", "Dansk"),
    ("de_AT.UTF-8", "Deutsch (Österreich)"),
    ("de_CH.UTF-8", "Deutsch (Schweiz)"),
    ("de_DE.UTF-8", "Deutsch (Deutschland)"),
    ("el_GR.UTF-8", "Greek"),
    ("es_ES.UTF-8", "Español (España)"),
    ("es_MX.UTF-8", "Español (México)"),
    ("fi_FI.UTF-8", "Suomi"),
    ("fr_CA.UTF-8", "Français (Canada)"),
    ("fr_FR.UTF-8", "Français (France)"),
    ("he_IL.UTF-8", "Hebrew"),
    ("hu_HU.UTF-8", "Magyar"),
    ("it_IT.UTF-8", "Italiano"),
    ("ja_JP.UTF-8", "Japanese"),
    ("ko_KR.UTF-8", "Korean"),
    ("nb_NO.UTF-8", "Norsk bokmål"),
    ("nl_NL.UTF-8", "Nederlands"),
    ("pl_PL.UTF-8", "Polski"),
    ("pt_BR.UTF-8", "Português (Brasil)"),
    ("pt_PT.UTF-8", "Português (Portugal)"),
    ("ro_RO.UTF-8", "Romanian"),
    ("ru_RU.UTF-8", "Russian"),
    ("sv_SE.UTF-8", "Svenska"),
    ("tr_TR.UTF-8", "Türkçe"),
    ("uk_UA.UTF-8", "Ukrainian"),
    ("zh_CN.UTF-8", "Chinese (simplified)"),
];

/// Keyboards: their XKB layout.
pub const KEYBOARDS: [(&str, &str); 24] = [
    ("us", "English (US)"),
    ("gb", "English (UK)"),
    ("be", "Belgian"),
    ("br", "Portuguese (Brazil)"),
    ("ca", "French (Canada)"),
    ("ch", "German (Switzerland)"),
    ("cz", "Czech"),
    ("de", "German"),
    ("dk", "Danish"),
    ("es", "Spanish"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("hu", "Hungarian"),
    ("ie", "Irish"),
    ("it", "Italian"),
    ("jp", "Japanese"),
    ("latam", "Spanish (Latin American)"),
    ("nl", "Dutch"),
    ("no", "Norwegian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("se", "Swedish"),
    ("tr", "Turkish"),
];

/// Layouts without Latin letters: with none of them can one type a name to log in.
const WITHOUT_LATIN: [&str; 34] = [
    "af", "am", "ara", "bd", "bg", "bt", "by", "eg", "et", "ge", "gr", "il", "in", "iq", "ir", "kg", "kh", "kz", "la",
    "lk", "ma", "mk", "mm", "mn", "mv", "np", "pk", "rs", "ru", "sy", "th", "tj", "ua", "uz",
];

/// What XKB is told of a layout that was chosen: its layouts and its options. Before one without Latin letters there is the US one, in
/// which a name to log in is typed; Alt and Shift change between them.
pub fn keyboard(layout: &str) -> (String, Vec<&'static str>) {
    if WITHOUT_LATIN.contains(&layout) {
        (format!("us,{layout}"), vec!["grp:alt_shift_toggle"])
    } else {
        (layout.into(), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_console_can_show_the_lists() {
        for (_, shown) in LANGUAGES.iter().chain(&KEYBOARDS) {
            assert!(shown.chars().all(|c| u32::from(c) < 0x100), "{shown}");
        }
    }

    #[test]
    fn latin_letters_are_beside_those_of_others() {
        assert_eq!(keyboard("ru"), ("us,ru".into(), vec!["grp:alt_shift_toggle"]));
        assert_eq!(keyboard("de"), ("de".into(), Vec::new()));
    }
}
