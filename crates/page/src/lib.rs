//! A page that holds its own style and drawings, runs no script and loads nothing; its elements are closed, so that an XML parser reads it too. Its
//! colours follow the reader's light or dark setting, and are told apart by the colour-blind.

pub mod chart;
pub mod scale;
pub mod text;

use text::escape;

/// The style of all pages.
pub const STYLE: &str = include_str!("style.css");

/// The page refuses whatever it might try to load.
pub const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// A page in the house's style, of which the browser is told what it may load.
pub fn page(title: &str, policy: &str, head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta name=\"generator\" content=\"Kiln {version}\"/>\n\
         <link rel=\"icon\" href=\"data:,\"/>\n<title>{title}</title>\n<style>\n{style}</style>\n{head}</head>\n<body>\n<main>\n\
         {body}</main>\n</body>\n</html>\n",
        title = escape(title),
        version = env!("CARGO_PKG_VERSION"),
        style = STYLE,
    )
}
