package org.kvm4j.conformance.architecture;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The rules of docs/architecture.md on who may import whom, over the compiled modules. */
@AnalyzeClasses(packages = "org.kvm4j", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTests {
  private static final String[] EPT = {"org.kvm4j.ept.."};
  private static final String[] MACHINE = {"org.kvm4j.machine.."};
  private static final String[] CPU = {"org.kvm4j.cpu..", "org.kvm4j.vmx..", "org.kvm4j.svm.."};
  private static final String[] MODULE = {"org.kvm4j.kvm.module.."};
  private static final String[] HOST = {"org.kvm4j.host.."};
  private static final String[] VMM = {"org.kvm4j.vmm.."};
  private static final String[] JNA = {"com.sun.jna.."};

  private static final DescribedPredicate<JavaClass> OURS = resideInAnyPackage("org.kvm4j..");

  /** The public part of kvm-api: the interface, without the emulated module behind it. */
  private static final DescribedPredicate<JavaClass> KVM_PUBLIC =
      resideInAnyPackage("org.kvm4j.kvm..").and(not(resideInAnyPackage(MODULE)));

  @ArchTest static final ArchRule ept_imports_machine_code = mayImport(EPT, in(MACHINE));

  @ArchTest static final ArchRule machine_code_imports_nothing_of_ours = mayImport(MACHINE, in());

  @ArchTest
  static final ArchRule vmx_model_imports_ept_and_machine_code =
      mayImport(CPU, in(EPT).or(in(MACHINE)));

  @ArchTest
  static final ArchRule the_emulated_module_imports_the_cpu_and_ept =
      mayImport(MODULE, KVM_PUBLIC.or(in(CPU)).or(in(EPT)));

  @ArchTest
  static final ArchRule the_kvm_interface_imports_nothing_of_what_is_behind_it =
      classes()
          .that(KVM_PUBLIC)
          .should()
          .onlyDependOnClassesThat(KVM_PUBLIC.or(not(OURS)))
          .allowEmptyShould(true)
          .because("the same interface stands over the machine's own kernel");

  @ArchTest
  static final ArchRule host_bridge_imports_the_kvm_interface =
      mayImport(HOST, KVM_PUBLIC.or(in(MACHINE)));

  @ArchTest
  static final ArchRule vmm_imports_the_kvm_interface_alone =
      mayImport(VMM, KVM_PUBLIC)
          .because("a VMM runs on either kernel, and finds them through ServiceLoader");

  @ArchTest
  static final ArchRule only_host_bridge_and_machine_code_use_jna =
      noClasses()
          .that(not(in(HOST).or(in(MACHINE))))
          .should()
          .dependOnClassesThat(in(JNA))
          .allowEmptyShould(true);

  @ArchTest
  static final ArchRule packages_have_no_cycles =
      slices().matching("org.kvm4j.(**)").should().beFreeOfCycles().allowEmptyShould(true);

  @ArchTest
  static final ArchRule logging_goes_through_system_logger =
      noClasses()
          .should()
          .dependOnClassesThat(
              resideInAnyPackage(
                  "java.util.logging..",
                  "org.slf4j..",
                  "org.apache.logging..",
                  "org.apache.log4j.."))
          .allowEmptyShould(true);

  /** Classes of {@code from} depend on one another, on {@code allowed} and on what is not ours. */
  private static ArchRule mayImport(String[] from, DescribedPredicate<JavaClass> allowed) {
    return classes()
        .that(in(from))
        .should()
        .onlyDependOnClassesThat(in(from).or(allowed).or(not(OURS)))
        .allowEmptyShould(true);
  }

  private static DescribedPredicate<JavaClass> in(String... packages) {
    return packages.length == 0 ? DescribedPredicate.alwaysFalse() : resideInAnyPackage(packages);
  }
}
