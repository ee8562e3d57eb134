//! A resource with attributes of all kinds: a file that holds its attributes as JSON.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tf_plugin::{
    Attribute, Block, Diagnostic, Diagnostics, NestedBlock, Nesting, Object, Path, Schema, Type,
    Value, json,
    provider::{Change, Current, Identity, Import, Outcome, Plan, Resource},
};

use crate::{Shared, fault};

pub(crate) struct Thing(pub(crate) Arc<Shared>);

/// Attributes that the provider fills in, and what with.
const COMPUTED: [&str; 3] = ["id", "size", "members"];

impl Thing {
    fn path(&self, state: &Value) -> Result<PathBuf, Diagnostics> {
        let directory = self.0.directory();
        match (directory, state.get("name").as_str()) {
            (Some(directory), Some(name)) => Ok(directory.join(name)),
            _ => Err(Diagnostic::error("No directory", "It is not known where things lie.").into()),
        }
    }

    /// Makes the file what is planned.
    fn write(&self, change: &Change) -> Result<Value, Diagnostics> {
        let mut state = change.planned.clone();
        state.set("id", state.get("name").clone());
        let labels = state.get("labels").as_map().map_or(0, BTreeMap::len);
        let size = i64::try_from(labels).unwrap_or(i64::MAX);
        state.set("size", Value::integer(size));
        if state.get("ratio").is_unknown() {
            state.set(
                "ratio",
                Value::Number(tf_plugin::Number::parse("0.1").expect("a number")),
            );
        }
        state.set("members", members(&state));
        let path = self.path(&state)?;
        let text = json::to_json(&state).to_string();
        std::fs::write(&path, text)
            .map_err(|error| Diagnostic::error("Cannot write", error.to_string()))?;
        tracing::debug!(path = %path.display(), "written");
        Ok(state)
    }

    fn outcome(&self, change: &Change) -> Outcome {
        match self.write(change) {
            Ok(state) => Outcome {
                identity: identity(&state),
                state,
                private: private(change),
                diagnostics: Diagnostics::new(),
            },
            Err(diagnostics) => Outcome::unchanged(
                Current {
                    state: change.prior.clone(),
                    private: change.private.clone(),
                    identity: change.identity.clone(),
                },
                diagnostics,
            ),
        }
    }

    /// What `act` asks of a call that takes long: says that it runs, and waits.
    async fn linger(&self, change: &Change) {
        let mut stopped = self.0.stopped.subscribe();
        match change.config.get("act").as_str() {
            Some("wait for stop") => {
                tracing::info!("waiting");
                // The sender is not dropped while the provider lives.
                let _ = stopped.wait_for(|stopped| *stopped).await;
                tracing::info!("at a safe point");
            }
            Some("hang") => {
                tracing::info!("waiting");
                std::future::pending::<()>().await;
            }
            _ => {}
        }
    }
}

fn identity(state: &Value) -> Value {
    match state.get("name") {
        Value::Null => Value::Null,
        name => Value::object([("name", name.clone())]),
    }
}

/// Counts the changes, behind a byte for the format.
fn private(change: &Change) -> Vec<u8> {
    let count = change.private.get(1).copied().unwrap_or_default();
    vec![1, count.saturating_add(1)]
}

fn members(state: &Value) -> Value {
    let labels = state.get("labels").as_map().cloned().unwrap_or_default();
    let member = |(name, text): (String, Value)| {
        let member = [("text", text), ("port", Value::integer(22))];
        (name, Value::object(member))
    };
    Value::object(labels.into_iter().map(member))
}

fn schema() -> Schema {
    let point = Type::Object(Object {
        members: [("x", Type::Number), ("y", Type::Number)]
            .map(|(name, ty)| (name.to_owned(), ty))
            .into(),
        optional: vec!["y".to_owned()],
    });
    let member = Type::object([("text", Type::String), ("port", Type::Number)]);
    let user = || Attribute::optional("user", Type::String, "Who.");
    let block = |attributes| Block {
        description: "A block.".to_owned(),
        attributes,
        blocks: Vec::new(),
    };
    let set = |element| Type::Set(Box::new(element));
    let act = "What goes wrong: `panic in <call>`, `wait for stop`, `hang`, `fail`, `half`.";
    Schema {
        version: 3,
        block: Block {
            description: "A file.".to_owned(),
            attributes: vec![
                Attribute::computed("id", Type::String, "Its name."),
                Attribute::required("name", Type::String, "Name of the file."),
                Attribute::optional("act", Type::String, act),
                Attribute::optional("count_of", Type::Number, "A number."),
                Attribute::optional_computed("ratio", Type::Number, "A fraction."),
                Attribute::optional("flag", Type::Bool, "A choice."),
                Attribute::optional("labels", Type::map(Type::String), "A map."),
                Attribute::optional("names", Type::list(Type::String), "A list."),
                Attribute::optional("ports", set(Type::Number), "A set."),
                Attribute::optional("point", point, "An object."),
                Attribute::optional("pair", Type::Tuple(vec![Type::String, Type::Bool]), "Two."),
                Attribute::optional("nodes", Type::Dynamic, "Anything."),
                Attribute::optional("password", Type::String, "A secret.").sensitive(),
                Attribute::optional("secret", Type::String, "Kept nowhere.").write_only(),
                Attribute::computed("size", Type::Number, "How many labels."),
                Attribute::computed("members", Type::map(member), "The labels again."),
            ],
            blocks: vec![
                NestedBlock {
                    name: "ssh",
                    nesting: Nesting::Single,
                    block: block(vec![
                        user(),
                        Attribute::optional("key", Type::String, "Kept nowhere.").write_only(),
                    ]),
                },
                NestedBlock {
                    name: "profile",
                    nesting: Nesting::List,
                    block: block(vec![user()]),
                },
                NestedBlock {
                    name: "zone",
                    nesting: Nesting::Map,
                    block: block(vec![user()]),
                },
            ],
        },
    }
}

#[async_trait]
impl Resource for Thing {
    fn type_name(&self) -> &'static str {
        "sample_thing"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            version: 0,
            attributes: vec![("name", "Name of the file.")],
        })
    }

    async fn validate(&self, config: &Value) -> Diagnostics {
        fault(config, "validate");
        let mut diagnostics = Diagnostics::new();
        if config.get("name").as_str() == Some("") {
            let error = Diagnostic::error("No name", "The name is empty.");
            diagnostics.push(error.at(Path::attribute("name")));
        }
        for (label, text) in config.get("labels").as_map().into_iter().flatten() {
            if text.as_str() == Some("") {
                let error = Diagnostic::error("No label", "The label is empty.");
                diagnostics.push(error.at(Path::attribute("labels").key(label)));
            }
        }
        diagnostics
    }

    async fn upgrade(&self, version: i64, raw: serde_json::Value) -> Result<Value, Diagnostics> {
        assert!(version != 1, "asked for in upgrade");
        let mut state = json::from_json(&raw, &schema().block.ty())
            .map_err(|error| Diagnostic::error("Cannot be read", error))?;
        // Version 2 called the name a title.
        state.set("name", Value::optional_string(raw["title"].as_str()));
        Ok(state)
    }

    async fn read(&self, current: Current) -> Outcome {
        fault(&current.state, "read");
        let Ok(path) = self.path(&current.state) else {
            return Outcome::unchanged(current, Diagnostics::new());
        };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Outcome {
                    state: Value::Null,
                    private: Vec::new(),
                    identity: Value::Null,
                    diagnostics: Diagnostics::new(),
                };
            }
            Err(error) => {
                let error = Diagnostic::error("Cannot read", error.to_string());
                return Outcome::unchanged(current, error.into());
            }
        };
        match json::from_slice(&text, &schema().block.ty()) {
            Ok(state) => Outcome {
                identity: identity(&state),
                state,
                private: current.private,
                diagnostics: Diagnostics::new(),
            },
            Err(error) => {
                Outcome::unchanged(current, Diagnostic::error("Cannot read", error).into())
            }
        }
    }

    async fn plan(&self, change: Change) -> Plan {
        fault(&change.config, "plan");
        let mut planned = change.planned.clone();
        // What Core proposes still holds write-only values, which no state has.
        schema().block.forget_write_only(&mut planned);
        let is_changed = planned != change.prior;
        for name in COMPUTED {
            let is_kept = name == "id" && !change.prior.is_null();
            if is_changed && !is_kept {
                planned.set(name, Value::unknown());
            }
        }
        if planned.get("ratio").is_null() {
            planned.set("ratio", Value::unknown());
        }
        let mut diagnostics = Diagnostics::new();
        if change.config.get("act").as_str() == Some("refuse") {
            let error = Diagnostic::error("Refused", "That is asked for.");
            diagnostics.push(error.at(Path::attribute("act")));
        }
        let mut wish = planned.clone();
        if change.config.get("act").as_str() == Some("misspell") {
            wish.set("szie", Value::integer(1_i64));
        }
        let mut identity = identity(&planned);
        if change.config.get("act").as_str() == Some("change identity") {
            identity = Value::object([("name", Value::string("another"))]);
        }
        Plan {
            private: private(&change),
            identity,
            planned: wish,
            diagnostics,
        }
    }

    async fn plan_delete(&self, current: Current) -> (Vec<u8>, Diagnostics) {
        fault(&current.state, "plan_delete");
        let diagnostics = match current.state.get("act").as_str() {
            Some("keep") => Diagnostic::error("Kept", "It is protected.")
                .at(Path::attribute("act"))
                .into(),
            _ => Diagnostics::new(),
        };
        (current.private, diagnostics)
    }

    async fn create(&self, change: Change) -> Outcome {
        fault(&change.config, "create");
        self.linger(&change).await;
        self.outcome(&change)
    }

    async fn update(&self, change: Change) -> Outcome {
        fault(&change.config, "update");
        self.linger(&change).await;
        let mut outcome = self.outcome(&change);
        if change.config.get("act").as_str() == Some("half") {
            outcome.state = change.prior;
            outcome.state.set("size", Value::integer(1_i64));
            outcome
                .diagnostics
                .error("Half done", "The rest is for the next apply.");
        }
        outcome
    }

    async fn delete(&self, current: Current) -> Outcome {
        fault(&current.state, "delete");
        let removed = self.path(&current.state).and_then(|path| {
            std::fs::remove_file(path)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })
                .map_err(|error| Diagnostic::error("Cannot remove", error.to_string()).into())
        });
        match removed {
            Ok(()) => Outcome {
                state: Value::Null,
                private: Vec::new(),
                identity: Value::Null,
                diagnostics: Diagnostics::new(),
            },
            Err(diagnostics) => Outcome::unchanged(current, diagnostics),
        }
    }

    async fn import(&self, wanted: Import) -> Outcome {
        let name = match wanted {
            Import::Id(id) => Value::string(id),
            Import::Identity(identity) => identity.get("name").clone(),
        };
        assert!(name.as_str() != Some("panic"), "asked for in import");
        let mut state = Value::object::<&str>([]);
        state.set("name", name);
        Outcome {
            identity: identity(&state),
            private: vec![1, 0],
            state,
            diagnostics: Diagnostics::new(),
        }
    }
}
