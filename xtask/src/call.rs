//! What was typed after `cargo xtask`.

use std::ffi::OsString;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Call {
    /// Lists the verbs.
    Help,
    /// Runs all checks.
    Test {
        /// A few training steps on the other backends too.
        backends: bool,
        /// For the test programs.
        args: Vec<OsString>,
    },
    /// Checks the layout rules, and the README's table of models.
    Tidy {
        /// Writes the table anew first.
        write: bool,
    },
    /// Builds the documentation.
    Docs,
    /// Runs `kiln-bench`.
    Bench {
        /// Verb and arguments.
        args: Vec<OsString>,
    },
    /// Runs `kiln`.
    Kiln {
        /// The Cargo features it is built with.
        features: Vec<String>,
        /// Verb and arguments.
        args: Vec<OsString>,
    },
}

impl Call {
    /// Sorts the arguments out: `--features` is ours wherever it stands before a `--`, the rest is the verb's.
    pub fn parse(typed: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut features, mut args) = (Vec::new(), Vec::new());
        let mut typed = typed.into_iter();
        while let Some(arg) = typed.next() {
            if arg == "--" {
                args.push(arg);
                args.extend(typed);
                break;
            }
            let text = arg.to_str().unwrap_or_default();
            let list = match text.strip_prefix("--features") {
                Some("") => {
                    let next = typed.next().and_then(|list| list.into_string().ok());
                    next.ok_or("`--features` needs a list, as in `--features wgpu`")?
                }
                Some(rest) if rest.starts_with('=') => rest[1..].to_string(),
                _ => {
                    args.push(arg);
                    continue;
                }
            };
            features.extend(list.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_string));
        }
        let Some(verb) = args.first() else {
            return Err("a verb is missing".into());
        };
        let own = |name: &str| match features.is_empty() {
            true => Ok(()),
            false => Err(format!("`{name}` takes no `--features`")),
        };
        let alone = |name: &str| match args.get(1) {
            None => own(name),
            Some(arg) => Err(format!("`{name}` takes no `{}`", arg.display())),
        };
        match verb.to_str() {
            Some("--help" | "-h" | "help") => Ok(Self::Help),
            Some("tidy") if args.get(1).is_some_and(|arg| arg == "--write") && args.len() == 2 => {
                own("tidy").map(|()| Self::Tidy { write: true })
            }
            Some("tidy") => alone("tidy").map(|()| Self::Tidy { write: false }),
            Some("docs") => alone("docs").map(|()| Self::Docs),
            Some("bench") => own("bench").map(|()| Self::Bench { args: args[1..].to_vec() }),
            Some("test") => {
                own("test")?;
                Self::parse_test(&args[1..])
            }
            // For what is typed before a verb: `cargo xtask kiln --help`.
            Some("kiln") => Ok(Self::Kiln { features, args: args[1..].to_vec() }),
            _ => Ok(Self::Kiln { features, args }),
        }
    }

    fn parse_test(args: &[OsString]) -> Result<Self, String> {
        let (own, rest) = match args.iter().position(|arg| arg == "--") {
            Some(at) => (&args[..at], &args[at + 1..]),
            None => (args, &[][..]),
        };
        if let Some(arg) = own.iter().find(|arg| *arg != "--backends") {
            let arg = arg.display();
            return Err(format!("`test` takes no `{arg}`; what is meant for the tests stands after `--`"));
        }
        Ok(Self::Test { backends: !own.is_empty(), args: rest.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &str) -> Result<Call, String> {
        Call::parse(typed.split_whitespace().map(OsString::from))
    }

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn features_are_taken_wherever_they_stand() {
        let expected = Call::Kiln {
            features: vec!["wgpu".into(), "ndarray".into()],
            args: words("train configs/quickstart.toml --device wgpu"),
        };
        for typed in [
            "--features wgpu,ndarray train configs/quickstart.toml --device wgpu",
            "train --features=wgpu,ndarray configs/quickstart.toml --device wgpu",
            "train configs/quickstart.toml --device wgpu --features wgpu --features ndarray",
        ] {
            assert_eq!(parsed(typed).as_ref(), Ok(&expected), "{typed}");
        }
    }

    #[test]
    fn what_stands_after_two_dashes_is_left_alone() {
        let expected = Call::Kiln { features: vec![], args: words("predict -- --features x") };
        assert_eq!(parsed("predict -- --features x"), Ok(expected));
        let expected = Call::Test { backends: true, args: words("resume --nocapture") };
        assert_eq!(parsed("test --backends -- resume --nocapture"), Ok(expected));
    }

    #[test]
    fn a_verb_keeps_its_own_help() {
        assert_eq!(parsed("--help"), Ok(Call::Help));
        assert_eq!(parsed("train --help"), Ok(Call::Kiln { features: vec![], args: words("train --help") }));
        assert_eq!(parsed("tidy --write"), Ok(Call::Tidy { write: true }));
        assert_eq!(parsed("bench train --help"), Ok(Call::Bench { args: words("train --help") }));
        assert_eq!(parsed("kiln --help"), Ok(Call::Kiln { features: vec![], args: words("--help") }));
    }

    #[test]
    fn a_wrong_call_says_what_is_wrong() {
        for (typed, word) in [
            ("", "missing"),
            ("train --features", "list"),
            ("tidy now", "`now`"),
            ("test resume", "`resume`"),
            ("docs --features wgpu", "--features"),
            ("bench train --features wgpu", "--features"),
        ] {
            assert!(parsed(typed).expect_err(typed).contains(word), "{typed}");
        }
    }
}
