//! Mistakes in a schema file, and how a person sees them.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::error::{Code, codes};

/// A range of bytes of the schema file.
pub type Span = Range<usize>;

/// One mistake in a schema file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code, LF-1xxx.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// The file, as [`crate::Schema::parse`] was given it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The place in bytes; begins and ends at character boundaries within the file.
    pub span: Span,
    /// What to say beside the place; may be empty.
    pub label: String,
    /// What would be right.
    pub help: Option<String>,
    /// Other places that explain the mistake, with what to say beside them.
    pub related: Vec<(Span, String)>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: error[{}]: {}", self.file, self.line, self.column, self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {}", help.replace('\n', " ")),
            None => Ok(()),
        }
    }
}

/// Most mistakes that are kept: more than anyone corrects in one go, few enough to show quickly.
const MAX_DIAGNOSTICS: usize = 500;

/// All mistakes of a schema file, in the order of their places. Never empty; what is beyond the first 500 is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// The mistakes over the text they were found in, as compilers show them; ends with a line that counts them.
    pub fn render(&self, source: &str, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for diagnostic in &self.list {
            out.push_str(&render_one(diagnostic, source, &renderer));
            out.push_str("\n\n");
        }
        let file = self.list.first().map_or("", |d| d.file.as_str());
        let count = match self.list.len() + self.omitted {
            1 => "1 mistake".to_owned(),
            n => format!("{n} mistakes"),
        };
        let shown = match self.omitted {
            0 => String::new(),
            _ => format!("; the first {} are shown", self.list.len()),
        };
        out.push_str(&format!("error: {file} has {count}{shown}\n"));
        out
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

fn render_one(diagnostic: &Diagnostic, source: &str, renderer: &Renderer) -> String {
    // Only the lines concerned: rendering stays quick in a large file with many mistakes.
    let spans = || std::iter::once(&diagnostic.span).chain(diagnostic.related.iter().map(|(span, _)| span));
    let first = spans().map(|s| s.start).min().unwrap_or(0);
    let last = spans().map(|s| s.end).max().unwrap_or(0);
    let start = source.get(..first).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1);
    let end = source.get(last..).and_then(|tail| tail.find('\n')).map_or(source.len(), |at| last + at);
    let text = source.get(start..end).unwrap_or("");
    let line = 1 + source.get(..start).map_or(0, |head| head.matches('\n').count());
    let local =
        |span: &Span| span.start.saturating_sub(start).min(text.len())..span.end.saturating_sub(start).min(text.len());

    let label = Some(diagnostic.label.as_str()).filter(|l| !l.is_empty());
    let primary = AnnotationKind::Primary.span(local(&diagnostic.span)).label(label);
    let related = diagnostic.related.iter().map(|(span, label)| AnnotationKind::Context.span(local(span)).label(label));
    let snippet =
        Snippet::source(text).line_start(line).path(&diagnostic.file).annotation(primary).annotations(related);
    let mut group = Level::ERROR.primary_title(&diagnostic.message).id(diagnostic.code.as_str()).element(snippet);
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.render(&[group])
}

/// A mistake while it is written down.
#[derive(Debug)]
pub(super) struct Finding {
    code: Code,
    message: String,
    span: Span,
    label: String,
    help: Option<String>,
    related: Vec<(Span, String)>,
}

impl Finding {
    /// What to say beside the place.
    pub(super) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    /// What would be right.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Another place that explains the mistake.
    pub(super) fn related(&mut self, span: &Span, label: impl Into<String>) -> &mut Self {
        self.related.push((span.clone(), label.into()));
        self
    }
}

/// Mistakes as they are found.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    /// Lines (as spans) that are not TOML: what was recovered from them is guesswork and gives no further mistakes.
    unreadable: Vec<Span>,
    /// Mistakes beyond the limit.
    omitted: usize,
}

impl Report {
    /// Writes a mistake down; complete it through the result.
    pub(super) fn add(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        let at = self.findings.len();
        let (label, help, related) = (String::new(), None, Vec::new());
        self.findings.push(Finding { code, message: message.into(), span, label, help, related });
        &mut self.findings[at]
    }

    /// Writes down what is not TOML, and counts what is beyond the limit: a file of another kind has millions.
    pub(super) fn syntax<'e>(&mut self, source: &str, mut errors: impl Iterator<Item = (Span, &'e str)>) {
        for (span, message) in errors.by_ref().take(MAX_DIAGNOSTICS) {
            let span = clamp(source, &span);
            let start = source[..span.start].rfind('\n').map_or(0, |at| at + 1);
            let end = source[span.end..].find('\n').map_or(source.len(), |at| span.end + at);
            self.unreadable.push(start..end);
            let message = message.strip_suffix(", expected literal string").unwrap_or(message);
            self.add(codes::SYNTAX, span, format!("this is not TOML: {message}")).help(syntax_help(message));
        }
        self.omitted += errors.count();
    }

    /// The mistakes in order of place; `None` when there are none.
    pub(super) fn finish(mut self, file: &str, source: &str) -> Option<Diagnostics> {
        let mut unreadable = std::mem::take(&mut self.unreadable);
        unreadable.sort_by_key(|lines| lines.start);
        // A missing key may be what could not be read.
        let guess = |f: &Finding| {
            let before = unreadable.partition_point(|lines| lines.start <= f.span.end);
            let inside = unreadable[..before].last().is_some_and(|lines| f.span.start <= lines.end);
            f.code != codes::SYNTAX && !unreadable.is_empty() && (inside || f.code == codes::MISSING_KEY)
        };
        self.findings.retain(|f| !guess(f));
        self.findings.sort_by(|a, b| (a.span.start, a.span.end, &a.code).cmp(&(b.span.start, b.span.end, &b.code)));
        self.findings.dedup_by(|a, b| (&a.code, &a.span, &a.message) == (&b.code, &b.span, &b.message));
        let omitted = self.omitted + self.findings.len().saturating_sub(MAX_DIAGNOSTICS);
        self.findings.truncate(MAX_DIAGNOSTICS);
        let lines = Lines::of(source);
        let list: Vec<_> = self.findings.into_iter().map(|f| diagnostic(f, file, source, &lines)).collect();
        (!list.is_empty()).then_some(Diagnostics { list, omitted })
    }
}

fn diagnostic(finding: Finding, file: &str, source: &str, lines: &Lines) -> Diagnostic {
    let span = clamp(source, &finding.span);
    let (line, column) = lines.place(source, span.start);
    let related = finding.related.into_iter().map(|(span, label)| (clamp(source, &span), label)).collect();
    Diagnostic {
        code: finding.code,
        message: finding.message,
        file: file.to_owned(),
        line,
        column,
        span,
        label: finding.label,
        help: finding.help,
        related,
    }
}

/// What would be right, by what the TOML parser says.
fn syntax_help(message: &str) -> &'static str {
    const HELP: &[(&str, &str)] = &[
        ("string values must be quoted", "put the text between quotes: key = \"text\""),
        ("duplicate key", "remove one of them, or rename it"),
        ("unclosed table", "close the header: [tables.notes.columns]"),
        ("unclosed inline table", "close it on the same line: { type = \"text\" }"),
        ("unclosed array", "close the list: [\"id\", \"title\"]"),
        (
            "invalid basic string",
            "close the text with a quote, and write a backslash as \\\\, or put it between single quotes",
        ),
        ("invalid literal string", "close the text with a single quote"),
    ];
    let found = HELP.iter().find(|(start, _)| message.starts_with(start));
    found.map_or(
        "a line is key = value, [header], or # comment; docs/schema.md shows the form of each key",
        |(_, help)| help,
    )
}

/// The span, moved to character boundaries inside the text.
fn clamp(source: &str, span: &Span) -> Span {
    let start = source.floor_char_boundary(span.start.min(source.len()));
    let end = source.ceil_char_boundary(span.end.clamp(start, source.len()));
    start..end
}

struct Lines(Vec<usize>);

impl Lines {
    fn of(source: &str) -> Self {
        Self(std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn place(&self, source: &str, offset: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= offset).max(1);
        let start = self.0.get(line - 1).copied().unwrap_or(0);
        (line, 1 + source.get(start..offset).map_or(0, |text| text.chars().count()))
    }
}
