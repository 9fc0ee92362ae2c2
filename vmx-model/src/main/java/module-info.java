/** The emulated x86 host CPU with VMX and SVM. */
module org.kvm4j.cpu {
  requires transitive org.kvm4j.ept;
  requires org.kvm4j.machine;
  requires org.objectweb.asm;
  requires static org.jspecify;

  exports org.kvm4j.cpu;
  exports org.kvm4j.cpu.cet;
  exports org.kvm4j.cpu.core;
  exports org.kvm4j.cpu.decode;
  exports org.kvm4j.cpu.engine;
  exports org.kvm4j.cpu.event;
  exports org.kvm4j.cpu.fpu;
  exports org.kvm4j.cpu.msr;
  exports org.kvm4j.cpu.profile;
  exports org.kvm4j.cpu.segment;
  exports org.kvm4j.cpu.semantics;
  exports org.kvm4j.vmx.entry;
  exports org.kvm4j.vmx.exit;
  exports org.kvm4j.vmx.explain;
  exports org.kvm4j.vmx.instruction;
  exports org.kvm4j.vmx.vmcs;
}
