//! The report in Jira's wiki markup: at most 60 lines, readable without attachments.

use super::origin::Origin;
use super::plain;
use super::ticket::{Block, fit};
use crate::report::Report;

/// The report in Jira's wiki markup, at most 60 lines, ending with a newline.
pub fn jira(report: &Report, origin: &Origin) -> String {
    fit(report, origin, block)
}

fn block(block: &Block) -> Vec<String> {
    let mut lines = vec![String::new()];
    match block {
        Block::Title(title) => return vec![format!("h2. {}", escape(title))],
        Block::Story(sentences) => {
            lines.extend(sentences.iter().map(|text| format!("# {}", escape(text))));
        }
        Block::Anomalies(found) => {
            for one in found {
                let name = if one.name.is_empty() {
                    String::new()
                } else {
                    format!("*{}* ", escape(&one.name))
                };
                lines.push(format!("* {name}{}", escape(&one.text)));
                lines.extend(one.examples.iter().map(|e| format!("** {}", escape(e))));
            }
        }
        Block::Table(rows) => {
            // An empty cell would be read as the start of a heading cell.
            let shown = |value: &str| if value.is_empty() { " ".to_owned() } else { escape(value) };
            lines.extend(rows.iter().map(|(name, value)| format!("||{name}|{}|", shown(value))));
        }
        Block::Unknown(reasons) => lines.push(format!("*Not known:* {}", escape(reasons))),
        Block::Commands(sentence, commands) => {
            lines.extend([(*sentence).to_owned(), "{noformat}".to_owned()]);
            lines.extend(commands.iter().map(|c| plain(c).replace("{noformat}", "(noformat)")));
            lines.push("{noformat}".to_owned());
        }
    }
    lines
}

/// Escapes what Jira would read as markup, a mention or a link.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        if matches!(
            c,
            '*' | '_' | '{' | '}' | '[' | ']' | '|' | '!' | '^' | '~' | '+' | '#' | '\\' | '@'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_from_outside_is_no_markup() {
        assert_eq!(escape("{code}[~admin]|x_y\n"), "\\{code\\}\\[\\~admin\\]\\|x\\_y ");
    }
}
