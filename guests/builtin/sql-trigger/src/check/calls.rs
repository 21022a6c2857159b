//! Functions, and ||.

use std::rc::Rc;

use sqlparser::ast::{
    Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
};
use sqlparser::tokenizer::Location;

use super::{Checker, Constant, REGEXES_MAX, Type, Typed};
use crate::cidr::Network;
use crate::errors::{Checked, Problem, quoted, suggestion};
use crate::functions;
use crate::plan::{Node, NodeId, Shape, Within};
use crate::texts::{Matcher, TextTest};

/// A call, and where it stands.
struct Call {
    name: String,
    at: Location,
    args: Vec<Typed>,
}

impl Checker<'_> {
    pub(super) fn call(&mut self, function: &Function) -> Checked<Typed> {
        let [part] = function.name.0.as_slice() else {
            return Err(Problem::whole("a function's name is one word"));
        };
        let (at, name) = part
            .as_ident()
            .map_or((Location::empty(), String::new()), |name| {
                (name.span.start, name.value.to_lowercase())
            });
        if !functions::is_one(&name) {
            let meant = suggestion(&name, functions::NAMES.iter().copied());
            return Err(Problem::at(
                at,
                format!("no function `{}`{meant}", quoted(&name)),
            ));
        }
        let is_plain = function.over.is_none()
            && function.filter.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && function.parameters == FunctionArguments::None;
        let args = match &function.args {
            FunctionArguments::List(FunctionArgumentList {
                duplicate_treatment: None,
                args,
                clauses,
            }) if is_plain && clauses.is_empty() => args,
            _ => {
                return Err(Problem::at(
                    at,
                    format!("{name} is called as {}", functions::usage(&name).1),
                ));
            }
        };
        let args = args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr),
                _ => Err(Problem::at(
                    at,
                    format!("{name} is called as {}", functions::usage(&name).1),
                )),
            })
            .collect::<Checked<Vec<_>>>()?;
        let (wanted, usage) = functions::usage(&name);
        if !wanted.contains(&args.len()) {
            let plural = if args.len() == 1 { "" } else { "s" };
            let text = format!(
                "{name} has {} argument{plural} here; write {usage}",
                args.len()
            );
            return Err(Problem::at(at, text));
        }
        self.called(Call { name, at, args })
    }

    fn called(&mut self, call: Call) -> Checked<Typed> {
        let texts: Vec<&str> = call.args.iter().map(|arg| arg.text.as_str()).collect();
        let text = format!("{}({})", call.name, texts.join(", "));
        let parts = call.args.iter().flat_map(|arg| arg.parts.clone()).collect();
        let Call { name, at, mut args } = call;
        match name.as_str() {
            "coalesce" => {
                let ty = self.unified(&args, "coalesce")?;
                self.fit_nulls(&mut args, ty);
                let list = self.align(&mut args)?;
                let nodes = args.iter().map(|arg| arg.node).collect();
                let node = self.plan.add(Node::Coalesce(ty.shape(), nodes));
                Ok(self.of_type(node, ty, list, at, text, parts))
            }
            "any" | functions::SOME => {
                let list = args.swap_remove(0);
                self.element(list).map(|element| Typed { at, ..element })
            }
            "length" if args.iter().any(|arg| arg.ty == Type::List) => {
                let node = args.swap_remove(0).node;
                Ok(self.value(node, Type::Integer, None, at, text, parts))
            }
            "lower" | "upper" | "length" | "basename" => {
                let arg = args.swap_remove(0);
                self.needs_text(&arg, &name)?;
                let ty = if name == "length" {
                    Type::Integer
                } else {
                    Type::Text
                };
                if arg.ty == Type::Null {
                    return Ok(self.constant(Constant::Null, Type::Null, at, text));
                }
                let node = match name.as_str() {
                    "lower" => Node::Lower(arg.node),
                    "upper" => Node::Upper(arg.node),
                    "length" => Node::Length(arg.node),
                    _ => Node::BaseName(arg.node),
                };
                let node = self.plan.add(node);
                Ok(self.value(node, ty, arg.list, at, text, parts))
            }
            "regexp_like" => self.regexp_like(&args, at, text, parts),
            "cidr_contains" => self.cidr_contains(&args, at, text, parts),
            _ => self.within(&name, args, at, text, parts),
        }
    }

    /// A value of whatever type, of which a test is a part of its own.
    pub(super) fn of_type(
        &mut self,
        node: NodeId,
        ty: Type,
        list: Option<usize>,
        at: Location,
        text: String,
        parts: Vec<usize>,
    ) -> Typed {
        match ty {
            Type::Bool => self.reduced(node, list, at, text, parts),
            Type::Null => self.constant(Constant::Null, Type::Null, at, text),
            ty => self.value(node, ty, list, at, text, parts),
        }
    }

    fn needs_text(&self, arg: &Typed, name: &str) -> Checked<()> {
        match arg.ty {
            Type::Text | Type::Null => Ok(()),
            ty => Err(super::not_a_text(arg, ty, name)),
        }
    }

    /// The one type that all have, whole numbers being numbers, too.
    pub(super) fn unified(&self, args: &[Typed], what: &str) -> Checked<Type> {
        let mut unified = Type::Null;
        for arg in args {
            unified = match (unified, arg.ty) {
                (_, Type::List) => return Err(super::not_a_text(arg, Type::List, what)),
                (Type::Null, ty) => ty,
                (ty, Type::Null) => ty,
                (one, other) if one == other => one,
                (one, other) if one.is_number() && other.is_number() => Type::Float,
                (one, other) => {
                    let text = format!(
                        "`{}` is {}, and what stands before it is {}: all values of {what} are of one type",
                        quoted(&arg.text),
                        other.words(),
                        one.words()
                    );
                    return Err(Problem::at(arg.at, text));
                }
            };
        }
        Ok(unified)
    }

    /// Gives the literal NULL the type of those that it stands beside.
    pub(super) fn fit_nulls(&mut self, args: &mut [Typed], ty: Type) {
        for arg in args.iter_mut().filter(|arg| arg.ty == Type::Null) {
            arg.node = self.plan.add(Node::Null(ty.shape()));
        }
    }

    fn within(
        &mut self,
        name: &str,
        mut args: Vec<Typed>,
        at: Location,
        text: String,
        parts: Vec<usize>,
    ) -> Checked<Typed> {
        for arg in &args {
            self.needs_text(arg, name)?;
        }
        if args.iter().any(|arg| arg.ty == Type::Null) {
            let node = self.plan.add(Node::Null(Shape::Truth));
            return Ok(self.tested(node, at, text, parts));
        }
        let list = self.align(&mut args)?;
        let [whole, wanted] = args.as_slice() else {
            return Err(Problem::at(at, functions::usage(name).1));
        };
        let (within, test): (_, fn(Rc<str>) -> TextTest) = match name {
            "starts_with" => (Within::Starts, TextTest::Prefix),
            "ends_with" => (Within::Ends, TextTest::Suffix),
            _ => (Within::Contains, TextTest::Contains),
        };
        let node = match &wanted.constant {
            Some(Constant::Text(constant)) => {
                let test = test(constant.clone());
                let matcher = Matcher::new(&test, wanted.at)?;
                self.plan.add_test(whole.node, test, matcher)
            }
            _ => self.plan.add(Node::Within {
                within,
                text: whole.node,
                part: wanted.node,
            }),
        };
        Ok(self.reduced(node, list, at, text, parts))
    }

    fn regexp_like(
        &mut self,
        args: &[Typed],
        at: Location,
        text: String,
        parts: Vec<usize>,
    ) -> Checked<Typed> {
        let (Some(whole), Some(pattern)) = (args.first(), args.get(1)) else {
            return Err(Problem::at(at, functions::usage("regexp_like").1));
        };
        self.needs_text(whole, "regexp_like")?;
        let flags: Rc<str> = match args.get(2).map(|flags| (flags.at, &flags.constant)) {
            None => "".into(),
            Some((_, Some(Constant::Text(flags))))
                if flags.chars().all(|flag| "ims".contains(flag)) =>
            {
                ["i", "m", "s"]
                    .into_iter()
                    .filter(|flag| flags.contains(flag))
                    .collect::<String>()
                    .into()
            }
            Some((at, _)) => {
                return Err(Problem::at(
                    at,
                    "the flags of regexp_like are 'i' (any case), 'm' (^ and $ at lines) and 's' (. is a line's end, too)",
                ));
            }
        };
        let node = match &pattern.constant {
            Some(Constant::Null) => self.plan.add(Node::Null(Shape::Truth)),
            Some(Constant::Text(constant)) => {
                let test = TextTest::Regex {
                    pattern: constant.clone(),
                    flags,
                };
                let matcher = Matcher::new(&test, pattern.at)?;
                if whole.ty == Type::Null {
                    self.plan.add(Node::Null(Shape::Truth))
                } else {
                    self.add_regex(whole.node, test, matcher, pattern.at)?
                }
            }
            _ => {
                return Err(Problem::at(
                    pattern.at,
                    "the pattern of regexp_like is a text in quotes",
                ));
            }
        };
        let list = whole.list;
        let node = if pattern.ty == Type::Null || whole.ty == Type::Null {
            self.lifted(node, list)
        } else {
            node
        };
        Ok(self.reduced(node, list, at, text, parts))
    }

    /// Those that are in the plan already are not counted again.
    fn add_regex(
        &mut self,
        text: NodeId,
        test: TextTest,
        matcher: Matcher,
        at: Location,
    ) -> Checked<NodeId> {
        let before = self.plan.len();
        let node = self.plan.add_test(text, test, matcher);
        let new = self.plan.len().saturating_sub(before);
        self.shared.regexes = self.shared.regexes.saturating_add(new);
        if self.shared.regexes > REGEXES_MAX {
            return Err(Problem::at(
                at,
                format!(
                    "more than {REGEXES_MAX} regular expressions in all conditions; LIKE, starts_with, ends_with and contains are not counted"
                ),
            ));
        }
        Ok(node)
    }

    fn cidr_contains(
        &mut self,
        args: &[Typed],
        at: Location,
        text: String,
        parts: Vec<usize>,
    ) -> Checked<Typed> {
        let [network, address] = args else {
            return Err(Problem::at(at, functions::usage("cidr_contains").1));
        };
        let Some(Constant::Text(constant)) = &network.constant else {
            let text = "the network comes first, as a text in quotes: cidr_contains('10.0.0.0/8', source_address)";
            return Err(Problem::at(network.at, text));
        };
        let test = TextTest::Cidr(Network::parse(constant, network.at)?);
        self.needs_text(address, "cidr_contains")?;
        let node = if address.ty == Type::Null {
            self.plan.add(Node::Null(Shape::Truth))
        } else {
            let matcher = Matcher::new(&test, network.at)?;
            self.plan.add_test(address.node, test, matcher)
        };
        Ok(self.reduced(node, address.list, at, text, parts))
    }

    pub(super) fn concat(&mut self, left: Typed, right: Typed) -> Checked<Typed> {
        let mut operands = [left, right];
        for operand in &operands {
            self.needs_text(operand, "||")?;
        }
        let text = format!("{} || {}", operands[0].text, operands[1].text);
        let at = operands[0].at;
        if operands.iter().any(|operand| operand.ty == Type::Null) {
            return Ok(self.constant(Constant::Null, Type::Null, at, text));
        }
        if let [Some(Constant::Text(one)), Some(Constant::Text(other))] =
            operands.each_ref().map(|operand| &operand.constant)
        {
            let joined = format!("{one}{other}");
            return Ok(self.constant(Constant::Text(joined.into()), Type::Text, at, text));
        }
        let list = self.align(&mut operands)?;
        let [left, right] = operands;
        let node = self.plan.add(Node::Concat(left.node, right.node));
        let parts = left.parts.into_iter().chain(right.parts).collect();
        Ok(self.value(node, Type::Text, list, at, text, parts))
    }
}
