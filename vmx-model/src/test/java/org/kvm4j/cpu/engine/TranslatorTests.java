package org.kvm4j.cpu.engine;

/** Code translated to bytecode of the JVM's. */
final class TranslatorTests extends CompiledCodeTests {
  @Override
  void compile(Interpreter engine, int after) {
    engine.translate(after, null);
  }

  @Override
  long compiled(Interpreter engine) {
    return engine.regions();
  }
}
