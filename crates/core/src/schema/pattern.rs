//! The `pattern` of a text column: compiled once, when the first value is checked.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// A regular expression that a text must match as a whole. Equal when the text of the expression is; clones share what
/// is compiled.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    compiled: Arc<OnceLock<Option<regex_lite::Regex>>>,
}

impl Pattern {
    /// A pattern. That the text is a regular expression is checked where a schema is read ([`Pattern::check`]).
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), compiled: Arc::default() }
    }

    /// The expression, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the text is a regular expression by itself, and as a whole match.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), regex_lite::Error> {
        // By itself first, so that `a)(b` is refused.
        regex_lite::Regex::new(&self.text)?;
        self.compile().map(|_| ())
    }

    /// Whether the whole text matches. What is no regular expression, which no checked schema has, matches nothing.
    pub fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| self.compile().ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    fn compile(&self) -> Result<regex_lite::Regex, regex_lite::Error> {
        regex_lite::Regex::new(&format!("^(?:{})$", self.text))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn the_whole_text_must_match() {
        let pattern = Pattern::new("a|bc");
        assert!(pattern.matches("a") && pattern.matches("bc"));
        assert!(!pattern.matches("ab") && !pattern.matches("abc") && !pattern.matches(""));
        assert!(pattern.clone().matches("bc"));
        assert!(Pattern::new("a)(b").check().is_err() && pattern.check().is_ok());
    }

    #[test]
    fn it_is_equal_where_its_text_is() {
        let (used, fresh) = (Pattern::new(r"\d+"), Pattern::new(r"\d+"));
        assert!(used.matches("12"));
        assert_eq!(used, fresh);
    }
}
