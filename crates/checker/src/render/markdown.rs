//! The report as Markdown of GitHub and Gitea: at most 60 lines, readable without attachments.

use super::origin::Origin;
use super::plain;
use super::ticket::{Block, fit};
use crate::report::Report;

/// The report as Markdown, at most 60 lines, ending with a newline.
pub fn markdown(report: &Report) -> String {
    markdown_from(report, &Origin::default())
}

/// The same with what is known of the run: seed, versions, evidence, and commands to run it again.
pub fn markdown_from(report: &Report, origin: &Origin) -> String {
    fit(report, origin, block)
}

fn block(block: &Block) -> Vec<String> {
    let mut lines = vec![String::new()];
    match block {
        Block::Title(title) => return vec![format!("## {}", escape(title))],
        Block::Story(sentences) => {
            let numbered = sentences.iter().enumerate();
            lines.extend(numbered.map(|(i, text)| format!("{}. {}", i + 1, escape(text))));
        }
        Block::Anomalies(found) => {
            for one in found {
                let name = if one.name.is_empty() {
                    String::new()
                } else {
                    format!("**{}** ", escape(&one.name))
                };
                lines.push(format!("- {name}{}", escape(&one.text)));
                lines.extend(one.examples.iter().map(|e| format!("  - {}", escape(e))));
            }
        }
        Block::Table(rows) => {
            lines.extend(["| | |".to_owned(), "|---|---|".to_owned()]);
            lines
                .extend(rows.iter().map(|(name, value)| format!("| {name} | {} |", escape(value))));
        }
        Block::Unknown(reasons) => lines.push(format!("**Not known:** {}", escape(reasons))),
        Block::Commands(sentence, commands) => {
            lines.extend([(*sentence).to_owned(), "```sh".to_owned()]);
            // Nothing ends a fence but a line of backticks.
            lines.extend(commands.iter().map(|c| plain(c).replace("```", "'''")));
            lines.push("```".to_owned());
        }
    }
    lines
}

/// Escapes what Markdown or HTML would read as markup, and what a tracker would read as a mention of a person or an issue.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_from_outside_is_no_markup() {
        assert_eq!(escape("<b>|x_y\n"), "&lt;b&gt;\\|x\\_y ");
        assert_eq!(escape("@all #1"), "&#64;all \\#1");
    }
}
