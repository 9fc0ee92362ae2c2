/** JMH benchmarks of the hot paths. */
module org.kvm4j.bench {
  requires java.management;
  requires jdk.management;
  requires jmh.core;
  requires org.kvm4j.cpu;
  requires org.kvm4j.ept;
  requires org.kvm4j.host;
  requires org.kvm4j.kvm;
  requires org.kvm4j.vmm;
  requires static org.jspecify;

  exports org.kvm4j.bench;
}
