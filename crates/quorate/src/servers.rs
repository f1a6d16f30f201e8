//! The MCP servers of a project, each of which serves all the agents that are its tools.

#[cfg(feature = "mcp")]
pub(crate) use with::Servers;
#[cfg(not(feature = "mcp"))]
pub(crate) use without::Servers;

#[cfg(feature = "mcp")]
mod with {
    use std::collections::HashMap;
    use std::sync::{Arc, Weak};

    use quorate_agents::{Agent, McpPlace, McpServer, McpTools, Reach, Registry, Secret, Toolbox};
    use quorate_core::Effect;
    use quorate_project::{AgentSpec, Does, McpSpec, ToolSpec};

    use crate::host::Host;

    /// By the agent that says where the server is, and its version.
    pub(crate) struct Servers(HashMap<(String, Option<String>), Arc<McpServer>>);

    impl Host {
        pub(crate) fn servers(&self) -> Servers {
            let specs = self.project().agents.values().flat_map(AgentSpec::all);
            let own = specs.filter_map(|spec| match &spec.does {
                Does::Mcp(mcp) if mcp.from.is_none() => Some(((spec.id.clone(), spec.version.clone()), McpServer::new(self.place_of(mcp)))),
                _ => None,
            });
            Servers(own.collect())
        }

        /// The MCP server of an agent, if it is one.
        #[must_use]
        pub fn mcp_server(&self, id: &str) -> Option<Arc<McpServer>> {
            self.servers().of(self.project().agents.get(id)?)
        }

        fn place_of(&self, mcp: &McpSpec) -> McpPlace {
            match &mcp.url {
                Some(url) => McpPlace::Service {
                    url: Secret::parse(url, &self.folder),
                    headers: mcp.headers.iter().map(|(name, value)| (name.clone(), Secret::parse(value, &self.folder))).collect(),
                    reach: if mcp.allow_private { Reach::Private } else { Reach::Public },
                },
                None => McpPlace::Program(self.started_by(&mcp.command, mcp.folder.as_ref(), &mcp.env, &mcp.pass_env)),
            }
        }
    }

    impl Servers {
        fn of(&self, spec: &AgentSpec) -> Option<Arc<McpServer>> {
            let Does::Mcp(mcp) = &spec.does else { return None };
            match &mcp.from {
                Some(from) => self.0.iter().find(|((id, _), _)| id == from).map(|(_, server)| server.clone()),
                None => self.0.get(&(spec.id.clone(), spec.version.clone())).cloned(),
            }
        }

        pub(crate) fn agent(&self, id: &str, spec: &AgentSpec, mcp: &McpSpec) -> Option<Agent> {
            Some(Agent::from_mcp(id, self.of(spec)?, mcp.tool.as_deref()))
        }

        /// The tools of a server, for a model. An agent that is one tool is that tool for models as well.
        pub(crate) fn tools(
            &self,
            tool: &ToolSpec,
            spec: &AgentSpec,
            mcp: &McpSpec,
            registry: &Weak<Registry>,
        ) -> Option<Arc<dyn Toolbox>> {
            let own: Vec<String> = mcp.tool.iter().cloned().collect();
            let only = if tool.only.is_empty() { &own } else { &tool.only };
            let effect: Effect = spec.effect.unwrap_or_default();
            Some(Arc::new(McpTools::new(registry.clone(), &tool.agent, self.of(spec)?, only, effect)))
        }
    }
}

#[cfg(not(feature = "mcp"))]
mod without {
    use std::sync::{Arc, Weak};

    use quorate_agents::{Agent, Registry, Toolbox};
    use quorate_core::{Failure, FailureClass};
    use quorate_project::{AgentSpec, McpSpec, ToolSpec};

    use crate::host::Host;

    /// What stands in their place where they were left out.
    pub(crate) struct Servers;

    impl Host {
        #[expect(clippy::unused_self, reason = "with MCP it reads the project")]
        pub(crate) fn servers(&self) -> Servers {
            Servers
        }
    }

    #[expect(clippy::unused_self, reason = "with MCP they are looked up")]
    impl Servers {
        pub(crate) fn agent(&self, id: &str, _spec: &AgentSpec, _mcp: &McpSpec) -> Option<Agent> {
            let why = "this program was built without the feature `mcp`";
            Some(Agent::from_quick(id, move |_| Err(Failure::new(FailureClass::Invalid, why).unsent())))
        }

        pub(crate) fn tools(&self, _: &ToolSpec, _: &AgentSpec, _: &McpSpec, _: &Weak<Registry>) -> Option<Arc<dyn Toolbox>> {
            None
        }
    }
}
