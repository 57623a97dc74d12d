//! What an OCI image says of the program in it: image-spec, "OCI Image Configuration".

use serde::{Deserialize, Serialize};

/// How the program of an image is to be run, as far as nobody says something else.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Configuration {
    /// Its environment, as `NAME=VALUE`.
    #[serde(default)]
    pub env: Vec<String>,
    /// What stands in front of every command.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// The command, if none is given.
    #[serde(default)]
    pub command: Vec<String>,
    /// Its working directory; empty for the root.
    #[serde(default)]
    pub directory: String,
    /// Who it is, as `USER[:GROUP]`, names or numbers; empty for root.
    #[serde(default)]
    pub user: String,
}

/// The configuration's file, of which this is all that is taken.
#[derive(Deserialize)]
struct File {
    config: Option<Inner>,
}

/// Go writes `null` for what is empty.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inner {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
}

impl Configuration {
    /// Reads a configuration's file.
    ///
    /// # Errors
    /// It is not as the specification has it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Configuration, serde_json::Error> {
        let File { config } = serde_json::from_slice(bytes)?;
        let Inner { user, env, entrypoint, cmd, working_dir } = config.unwrap_or_default();
        Ok(Configuration {
            env: env.unwrap_or_default(),
            entrypoint: entrypoint.unwrap_or_default(),
            command: cmd.unwrap_or_default(),
            directory: working_dir.unwrap_or_default(),
            user: user.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_or_null_is_empty_and_what_is_not_taken_is_left() {
        for text in ["{}", r#"{"config": null}"#, r#"{"config": {"Env": null, "Cmd": null}}"#] {
            assert_eq!(Configuration::parse(text.as_bytes()).unwrap(), Configuration::default());
        }
        let text = r#"{"architecture": "amd64", "rootfs": {"diff_ids": []}, "config": {
            "User": "web:www", "Env": ["A=1", "B="], "Entrypoint": ["/run"], "Cmd": ["-v", ""],
            "WorkingDir": "/srv", "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}}}"#;
        let expected = Configuration {
            env: vec!["A=1".to_owned(), "B=".to_owned()],
            entrypoint: vec!["/run".to_owned()],
            command: vec!["-v".to_owned(), String::new()],
            directory: "/srv".to_owned(),
            user: "web:www".to_owned(),
        };
        assert_eq!(Configuration::parse(text.as_bytes()).unwrap(), expected);
        for text in ["", "[]", r#"{"config": 1}"#, r#"{"config": {"Env": "A=1"}}"#] {
            assert!(Configuration::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
