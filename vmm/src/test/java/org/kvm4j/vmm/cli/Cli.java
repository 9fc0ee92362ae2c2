package org.kvm4j.vmm.cli;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.KernelProvider;
import picocli.CommandLine;
import picocli.CommandLine.Help.Ansi;

/** Executes command lines in this process, and keeps what they print. */
final class Cli {

  final ByteArrayOutputStream guest = new ByteArrayOutputStream();
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private Writer errors = err;
  private final Map<String, String> variables = new LinkedHashMap<>();
  private OutputStream output = guest;
  private boolean errorsWithOutput;
  private final List<Integer> emulated = new ArrayList<>();
  private InputStream input = InputStream.nullInputStream();
  private List<KernelProvider> providers = Kernels.providers();

  Cli withInput(String text) {
    return withInput(new ByteArrayInputStream(text.getBytes(StandardCharsets.ISO_8859_1)));
  }

  Cli withInput(InputStream stream) {
    input = stream;
    return this;
  }

  /** Standard output, the guest's and the program's. */
  Cli withOutput(OutputStream stream) {
    output = stream;
    return this;
  }

  Cli withProviders(KernelProvider... those) {
    providers = List.of(those);
    return this;
  }

  /** Standard error goes where standard output does. */
  Cli withErrorsInOutput() {
    errorsWithOutput = true;
    return this;
  }

  /** Standard output and standard error are one terminal, as it were. */
  Cli withAllIn(OutputStream stream) {
    errors = new OutputStreamWriter(stream, StandardCharsets.ISO_8859_1);
    return withOutput(stream).withErrorsInOutput();
  }

  Cli withVariable(String name, String value) {
    variables.put(name, value);
    return this;
  }

  /** How many virtual CPUs each run was about to emulate. */
  List<Integer> emulated() {
    return emulated;
  }

  int run(String... arguments) {
    Environment environment =
        new Environment(
            input,
            new StandardOutput(output, false),
            false,
            false,
            errorsWithOutput,
            variables,
            () -> providers,
            emulated::add);
    CommandLine commandLine = Main.commandLine(environment, arguments);
    commandLine.setColorScheme(CommandLine.Help.defaultColorScheme(Ansi.OFF));
    if (output == guest) {
      commandLine.setOut(new PrintWriter(out)); // apart from the guest's
    }
    commandLine.setErr(new PrintWriter(errors));
    return Main.execute(commandLine, environment, arguments);
  }

  String out() {
    return out.toString();
  }

  String err() {
    return err.toString();
  }

  /** What the guest sent through its serial port. */
  String guest() {
    return guest.toString(StandardCharsets.ISO_8859_1);
  }
}
